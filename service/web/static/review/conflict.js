// Somebody else saved meanwhile: what they did, what of one's own is unsaved, and the way on. Text only; nothing is markup.

import { written } from "./pending.js";

/** Fill `place` in. `theirs` and `seen` are reports, `mine` sentences; `reapply` is called by the button. */
export function showConflict(place, { theirs, seen, mine, reapply }) {
  const act = theirs.act;
  const who = act ? `${act.by} ${act.kind} it on ${moment(act.at)}` : "The service composed it from a new analysis";
  const title = element("h3", "Somebody else saved this report meanwhile");
  title.tabIndex = -1;
  const button = element("button", mine.length ? `Load version ${theirs.version} and re-apply mine` : `Load version ${theirs.version}`);
  button.type = "button";
  button.className = "primary";
  button.addEventListener("click", reapply);
  place.replaceChildren(
    title,
    element("p", `You read version ${seen.version}. Version ${theirs.version} (${theirs.status}) is current. ${who}${act?.why ? `: ${act.why}` : "."}`),
    element("p", "What differs from the version that you read:"),
    list(differences(seen, theirs), "No finding differs."),
    element("p", mine.length ? "What of yours is not saved:" : "Nothing of yours is unsaved."),
    ...(mine.length ? [list(mine)] : []),
    button,
  );
  place.hidden = false;
  title.focus();
}

function differences(seen, theirs) {
  const before = new Map(seen.findings.map((finding) => [finding.finding_id, finding]));
  const told = theirs.findings
    .filter((finding) => JSON.stringify(before.get(finding.finding_id)) !== JSON.stringify(finding))
    .map((finding) => changed(before.get(finding.finding_id), finding));
  if (seen.status !== theirs.status) told.unshift(`The report is ${theirs.status}; it was ${seen.status}.`);
  if (JSON.stringify(seen.written_impression) !== JSON.stringify(theirs.written_impression)) told.push("The impression was written anew.");
  if (JSON.stringify(seen.comment) !== JSON.stringify(theirs.comment)) told.push("The comment is another one.");
  return told;
}

function changed(before, now) {
  const name = words(now.name);
  if (!before) return `${name} is new: ${value(now)}`;
  if (now.amended?.is_rejected) return `${name} was rejected by ${now.amended.by}: ${now.amended.why}`;
  if (value(before) !== value(now)) return `${name}: ${value(before)} became ${value(now)}${now.amended ? `, by ${now.amended.by}: ${now.amended.why}` : ""}`;
  if (now.accepted && !before.accepted) return `${name} was accepted by ${now.accepted.by}.`;
  return `${name}: its remarks are others.`;
}

function value(finding) {
  const symbol = { deg: "°", 1: "", "{ratio}": "", "{pixels}": " px" }[finding.unit] ?? ` ${finding.unit ?? ""}`;
  return finding.value === null ? "no value" : written(finding.value, { digits: finding.unit === "1" ? "0" : "1", symbol });
}

function words(name) {
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function moment(at) {
  return `${at.slice(0, 16).replace("T", " ")} UTC`;
}

function list(sentences, none = "") {
  if (!sentences.length) return element("p", none);
  const made = element("ul");
  made.append(...sentences.map((sentence) => element("li", sentence)));
  return made;
}

function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
