// Hears when somebody else makes another version of the report that is shown, and offers to show that one.

const NAMES = ["report_amended", "report_signed", "report_cancelled"];

/** `isShown(id)` is asked once nothing of ours is under way; `show(id)` shows that version. */
export function hear({ study, place, idle, isShown, show }) {
  const events = new EventSource("/api/v1/events");
  const tell = async ({ data }) => {
    const told = JSON.parse(data);
    if (told.study_instance_uid !== study) return;
    await idle();
    if (isShown(told.report_id)) return;
    place.dataset.made = told.report_id;
    place.hidden = false;
  };
  events.addEventListener("open", () => (place.dataset.listens = "true"));
  for (const name of NAMES) events.addEventListener(name, tell);
  place.querySelector("button").addEventListener("click", () => show(place.dataset.made));
}
