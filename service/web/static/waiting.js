// Shows the report as soon as there is one, and until then where the study stands; nothing is asked while nothing happens.

import { UNATTENDED, whileVisible } from "./events.js";

const MINUTE_MILLISECONDS = 60_000;

const place = document.getElementById("study");

async function read() {
  const answer = await fetch(location.href, { headers: { accept: "text/html", ...UNATTENDED } });
  if (!answer.ok) return;
  const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("study");
  if (found) place.replaceChildren(...document.importNode(found, true).childNodes);
  else location.reload();
}

const look = () => document.hidden || read().catch(() => {});

setInterval(look, MINUTE_MILLISECONDS); // should an event be lost, or none come through
document.addEventListener("visibilitychange", look);
whileVisible({
  names: ["instance_stored", "analysis_done", "analysis_failed", "report_ready", "report_failed"],
  opened: look, // what happened while nobody listened
  heard: (_, told) => told.study_instance_uid === place.dataset.study && look(),
});
