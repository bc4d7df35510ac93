// What is unsaved, told beside each finding that it changes or that follows from it. Text only; nothing is markup.

import { say } from "../words.js";
import { written } from "./pending.js";

/** Everything that tells of what is unsaved. */
export function showUnsaved(content, pending, preview) {
  const find = (selector) => content.querySelector(selector);
  const now = new Map(preview.findings.map((finding) => [finding.finding_id, finding]));
  for (const row of content.querySelectorAll(".finding")) {
    const change = pending.changes.get(row.dataset.finding);
    const told = toldOf(row, change, now.get(row.dataset.finding));
    put(row.querySelector("[data-pending]"), told);
    row.classList.toggle("unsaved", Boolean(told));
    const undo = row.querySelector("[data-undo]");
    if (undo) undo.hidden = !change;
  }
  for (const place of content.querySelectorAll("[data-pending-lines]")) {
    const lines = pending.lines.get(place.dataset.pendingLines);
    put(place, lines ? say("Unsaved: lines drawn in frame {frame} ({why}).", lines) : "");
    hide(place.nextElementSibling, !lines);
  }
  put(find("[data-pending-words]"), pending.count ? toldWords(content, pending, preview.impression) : "");
  hide(find("[data-undo-words]"), !pending.words);
  const count = pending.count;
  put(find("[data-unsaved]"), toldCount(count));
  hide(find("[data-unsaved-actions]"), count === 0);
  hide(find("[data-saved-actions]"), count > 0);
}

/** The same in sentences for elsewhere: what the person changed, and apart from it what followed from that. */
export function listUnsaved(content, pending) {
  const told = { mine: [], follows: [] };
  for (const place of content.querySelectorAll(".finding .pending:not([hidden]), [data-pending-lines]:not([hidden])")) {
    const row = place.closest(".finding");
    const isMine = !row || pending.changes.has(row.dataset.finding);
    told[isMine ? "mine" : "follows"].push(sentenceOf(place));
  }
  if (pending.words) told.mine.push(say("The impression or comment that you wrote."));
  return told;
}

/** What is left behind, with all its words, while the version in which it was written is still shown. */
export function listLeft(content, left) {
  const find = (selector, value, inside = "") => content.querySelector(`[${selector}="${CSS.escape(value)}"]${inside}`);
  return [
    ...[...left.changes.keys()].map((id) => sentenceOf(find("data-finding", id, " [data-pending]"))),
    ...[...left.lines.keys()].map((uid) => sentenceOf(find("data-pending-lines", uid))),
    ...listWords(left.words ?? {}),
  ];
}

/** One that was cleared is `null`, one that was not written is missing. */
function listWords({ impression, comment, why }) {
  return [
    ...(impression === undefined ? [] : [`${say("Impression")}: ${impression ?? say("empty: composed from the findings")}`]),
    ...(comment === undefined ? [] : [`${say("Comment")}: ${comment ?? say("removed")}`]),
    ...(why ? [`${say("Reason")}: ${why}`] : []),
  ];
}

function sentenceOf(place) {
  const name = place.closest(".finding")?.dataset.shownName ?? say("Lines");
  return `${name}: ${place.textContent.replace(`${say("Unsaved")}: `, "")}`;
}

function toldOf(row, change, after) {
  const value = after && after.value !== null ? written(after.value, row.dataset) : "";
  if (change?.action === "accept") return say("Unsaved: accepted as it is.");
  if (change?.action === "reject") return say("Unsaved: rejected ({why}).", change);
  if (change?.action === "restore") return value ? say("Unsaved: restored to {value}.", { value }) : say("Unsaved: restored.");
  if (change) return say("Unsaved: {value} ({why}).", { value: value || written(change.value, row.dataset), why: change.why });
  if (!after) return "";
  if (after.amended) return say("Unsaved: {value}, which follows.", { value });
  return after.flags.includes("rests_on_amended")
    ? say("Unsaved: rests on what is amended, and stays the software's.")
    : say("Unsaved: {value} again.", { value });
}

function toldWords(content, pending, impression) {
  const { comment, why } = pending.words ?? {};
  const told = [
    toldImpression(content, pending, impression),
    comment ? say("Unsaved, the comment becomes: {comment}", { comment }) : "",
    comment === null ? say("Unsaved: the comment is removed.") : "",
    why ? `${say("Reason")}: ${why}` : "",
  ];
  return told.filter(Boolean).join("\n");
}

/** What software composes comes in English: in another language it is only said that it follows. */
function toldImpression(content, pending, composed) {
  const own = pending.words?.impression;
  const impression = composed ?? own; // nothing is composed where the changes cannot be tried
  const isOwn = typeof own === "string";
  if ((isOwn || document.documentElement.lang === "en") && impression && impression !== shownImpression(content)) {
    return say("Unsaved, the impression becomes: {impression}", { impression });
  }
  if (own === null) return say("Unsaved: the impression is composed from the findings.");
  if (isOwn || document.documentElement.lang === "en") return "";
  const isOther = pending.lines.size > 0 || [...pending.changes.values()].some(({ action }) => action !== "accept");
  return isOther ? say("Unsaved: the impression follows from the changes.") : "";
}

function toldCount(count) {
  if (!count) return "";
  return count === 1 ? say("1 unsaved change. Save before you sign.") : say("{count} unsaved changes. Save before you sign.", { count });
}

function shownImpression(content) {
  return [...content.querySelector("[data-impression]").children].map((line) => line.textContent).join("\n");
}

/** Words at a place, which is hidden without any. */
export function put(place, words) {
  if (!place) return;
  place.textContent = words;
  place.hidden = !words;
}

function hide(place, isHidden) {
  if (place) place.hidden = isHidden;
}
