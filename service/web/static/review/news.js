// Hears when somebody else, or the service, makes another version of the report that is shown, and offers to show that one.

import { UNATTENDED, whileVisible } from "../events.js";

const NAMES = ["report_amended", "report_signed", "report_cancelled"];
const MINUTE_MILLISECONDS = 60_000;

/**
 * `isShown(id)` and `newest()`, the highest number that the panel knows of, are asked once nothing of ours is under way;
 * `show(id)` shows that version.
 */
export function hear({ study, place, idle, isShown, newest, show }) {
  const offer = (id) => {
    place.dataset.made = id;
    place.hidden = false;
  };
  const tell = async (told) => {
    await idle();
    if (!isShown(told.report_id)) offer(told.report_id);
  };
  // Also should an event be lost, or none come through.
  const look = async () => {
    if (document.hidden) return;
    const answer = await fetch(`/api/v1/studies/${study}`, { headers: { Accept: "application/json", ...UNATTENDED } }).catch(() => null);
    if (!answer?.ok) return;
    const { reports } = await answer.json();
    const last = reports.reduce((one, other) => (other.version > one.version ? other : one));
    await idle();
    if (last.version > newest()) offer(last.report_id);
  };
  whileVisible({
    // The study was analysed anew: that event names no version.
    names: [...NAMES, "report_ready"],
    opened: () => {
      place.dataset.listens = "true";
      look(); // what happened while nobody listened
    },
    heard: (name, told) => {
      if (told.study_instance_uid === study) (name === "report_ready" ? look : tell)(told);
    },
    lost: () => (place.dataset.listens = "false"),
  });
  setInterval(look, MINUTE_MILLISECONDS);
  document.addEventListener("visibilitychange", look);
  place.querySelector("button").addEventListener("click", () => show(place.dataset.made));
}
