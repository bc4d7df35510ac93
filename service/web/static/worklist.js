// Keeps the worklist current without losing the reader's place: rows change where they stand, new ones wait to be shown.

import { UNATTENDED, whileVisible } from "./events.js";
import { keyOf } from "./single-keys.js";
import { say } from "./words.js";

const QUIET_MILLISECONDS = 800; // events come in bursts
const MINUTE_MILLISECONDS = 60_000;
const EVENTS = ["instance_stored", "analysis_done", "analysis_failed", "report_ready", "report_failed", "delivered", "delivery_refused",
  "delivery_failed", "report_amended", "report_signed", "report_cancelled", "identity_acknowledged", "job_requeued",
  "delivery_requeued", "delivery_abandoned"];

const place = document.getElementById("studies");
const state = document.getElementById("live");
const news = document.getElementById("news");
const show = document.getElementById("show-news");
const isFirst = place.dataset.first === "true";

let fresh = null; // the newest answer of the server, until it is shown
let timer = null;
let isReading = false;

function tell(words, isOn) {
  state.textContent = words;
  state.dataset.state = isOn ? "on" : "off";
}

function rowsOf(root) {
  return new Map([...root.querySelectorAll("tr[data-study]")].map((row) => [row.dataset.study, row]));
}

async function read() {
  isReading = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html", ...UNATTENDED }, redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    fresh = page.getElementById("studies");
    compare();
  } catch {
    tell(say("Not current: reload the page"), false);
  } finally {
    isReading = false;
  }
}

function compare() {
  const known = rowsOf(place);
  const found = rowsOf(fresh);
  for (const [uid, row] of found) update(known.get(uid), row);
  const added = [...found.keys()].filter((uid) => !known.has(uid)).length;
  if (isFirst && known.size === 0 && added > 0) return showAll();
  news.hidden = !(isFirst && added > 0);
  if (!news.hidden) show.querySelector("span").textContent = added === 1 ? say("Show 1 new study") : say("Show {count} new studies", { count: added });
}

// Cell by cell, so that what has the focus keeps it.
function update(old, row) {
  if (!old) return;
  [...row.cells].forEach((cell, number) => {
    const before = old.cells[number];
    if (before.innerHTML === cell.innerHTML) return;
    if (before.contains(document.activeElement)) return;
    before.replaceChildren(...document.importNode(cell, true).childNodes);
    old.dataset.changed = "";
  });
}

function showAll() {
  const known = rowsOf(place);
  place.replaceChildren(...document.importNode(fresh, true).childNodes);
  news.hidden = true;
  const added = [...rowsOf(place).values()].filter((row) => known.size > 0 && !known.has(row.dataset.study));
  for (const row of added) row.dataset.changed = "";
  scrollTo({ top: 0 });
  if (known.size > 0) added[0]?.querySelector("a")?.focus({ preventScroll: true });
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(() => (isReading ? soon() : read()), QUIET_MILLISECONDS);
}

show.addEventListener("click", showAll);
setInterval(() => document.hidden || soon(), MINUTE_MILLISECONDS); // should an event be lost
document.addEventListener("visibilitychange", () => document.hidden || soon());
document.addEventListener("keydown", (event) => {
  if (keyOf(event) !== "/" || event.target.closest("input, select, textarea")) return;
  event.preventDefault();
  document.getElementById("patient").select();
});
whileVisible({
  names: EVENTS,
  opened: () => {
    tell(say("Live"), true);
    soon(); // what happened while nobody listened
  },
  heard: soon,
  lost: (isRefused) => tell(isRefused ? say("Not live: trying again") : say("Connecting again …"), false),
});
