// Shows the report as soon as there is one, and until then where the study stands; nothing is asked while nothing happens.

const place = document.getElementById("study");
const events = new EventSource("/api/v1/events");

async function read() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("study");
  if (found) place.replaceChildren(...document.importNode(found, true).childNodes);
  else location.reload();
}

function hear(event) {
  if (JSON.parse(event.data).study_instance_uid === place.dataset.study) read().catch(() => {});
}

events.addEventListener("open", () => read().catch(() => {})); // what happened before anybody listened
for (const name of ["instance_stored", "analysis_done", "analysis_failed", "report_ready", "report_failed"]) {
  events.addEventListener(name, hear);
}
