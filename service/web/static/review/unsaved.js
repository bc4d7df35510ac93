// What is unsaved, told beside each finding that it changes or that follows from it. Text only; nothing is markup.

import { written } from "./pending.js";

/** Everything that tells of what is unsaved. */
export function showUnsaved(content, pending, preview) {
  const find = (selector) => content.querySelector(selector);
  const now = new Map(preview.findings.map((finding) => [finding.finding_id, finding]));
  for (const row of content.querySelectorAll(".finding")) {
    const change = pending.changes.get(row.dataset.finding);
    const told = toldOf(row, change, now.get(row.dataset.finding));
    say(row.querySelector("[data-pending]"), told);
    row.classList.toggle("unsaved", Boolean(told));
    const undo = row.querySelector("[data-undo]");
    if (undo) undo.hidden = !change;
  }
  for (const place of content.querySelectorAll("[data-pending-lines]")) {
    const lines = pending.lines.get(place.dataset.pendingLines);
    say(place, lines ? `Unsaved: lines drawn in frame ${lines.frame} (${lines.why}).` : "");
    hide(place.nextElementSibling, !lines);
  }
  const impression = pending.count ? preview.impression : "";
  say(find("[data-pending-words]"), impression && impression !== shownImpression(content) ? `Unsaved, the impression becomes: ${impression}` : "");
  hide(find("[data-undo-words]"), !pending.words);
  const count = pending.count;
  say(find("[data-unsaved]"), count ? `${count} unsaved ${count === 1 ? "change" : "changes"}. Save before you sign.` : "");
  hide(find("[data-unsaved-actions]"), count === 0);
  hide(find("[data-saved-actions]"), count > 0);
}

function toldOf(row, change, after) {
  const value = after && after.value !== null ? written(after.value, row.dataset) : "";
  if (change?.action === "accept") return "Unsaved: accepted as it is.";
  if (change?.action === "reject") return `Unsaved: rejected (${change.why}).`;
  if (change?.action === "restore") return `Unsaved: restored${value ? ` to ${value}` : ""}.`;
  if (change) return `Unsaved: ${value || written(change.value, row.dataset)} (${change.why}).`;
  if (!after) return "";
  if (after.amended) return `Unsaved: ${value}, which follows.`;
  return after.flags.includes("rests_on_amended") ? "Unsaved: rests on what is amended, and stays the software's." : `Unsaved: ${value} again.`;
}

function shownImpression(content) {
  return [...content.querySelector("[data-impression]").children].map((line) => line.textContent).join("\n");
}

/** Words at a place, which is hidden without any. */
export function say(place, words) {
  if (!place) return;
  place.textContent = words;
  place.hidden = !words;
}

function hide(place, isHidden) {
  if (place) place.hidden = isHidden;
}
