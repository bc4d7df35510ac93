// Somebody else saved meanwhile, or the same person elsewhere: what they did, what of one's own is unsaved, and the way on. Text only; nothing is markup.

import { moment, say } from "../words.js";
import { toldReason, written } from "./pending.js";

/**
 * Fill `place` in. `title` says who saved, `theirs` and `seen` are reports, `mine` and `follows` sentences of what the person changed and of what the service made of it; `nameOf(finding)` is what the page calls a finding;
 * `reapply` is called by the button.
 */
export function showConflict(place, { title, theirs, seen, mine, follows, nameOf, reapply, isFocused }) {
  const heading = element("h3", title);
  heading.tabIndex = -1;
  const button = element("button", mine.length && theirs.status !== "cancelled" ? say("Load version {version} and re-apply mine", theirs) : say("Load version {version}", theirs));
  button.type = "button";
  button.className = "primary";
  button.addEventListener("click", reapply);
  const hadFocus = place.contains(document.activeElement); // what is there goes
  place.replaceChildren(
    heading,
    element("p", `${toldVersions(seen, theirs)} ${toldAct(theirs.act)}`),
    element("p", say("What differs from the version that you read:")),
    list(differences(seen, theirs, nameOf), say("No finding differs.")),
    element("p", mine.length ? say("What of yours is not saved:") : say("Nothing of yours is unsaved.")),
    ...(mine.length ? [list(mine)] : []),
    ...(follows.length ? [element("p", say("What follows from it:")), list(follows)] : []),
    button,
  );
  place.hidden = false;
  if (isFocused || hadFocus) heading.focus();
}

function toldVersions(seen, theirs) {
  const values = { seen: seen.version, version: theirs.version, status: say(theirs.status) };
  return say("You read version {seen}. Version {version} ({status}) is current.", values);
}

function toldAct(act) {
  if (!act) return say("The service composed it from a new analysis.");
  const values = { by: act.by, at: moment(act.at) };
  const done = {
    amended: say("{by} amended it on {at}", values),
    signed: say("{by} signed it on {at}", values),
    cancelled: say("{by} withdrew it on {at}", values),
  }[act.kind];
  return act.why ? `${done}: ${toldReason(act.why)}` : `${done}.`;
}

function differences(seen, theirs, nameOf) {
  const before = new Map(seen.findings.map((finding) => [finding.finding_id, finding]));
  const told = theirs.findings
    .filter((finding) => JSON.stringify(before.get(finding.finding_id)) !== JSON.stringify(finding))
    .map((finding) => changed(before.get(finding.finding_id), finding, nameOf(finding)));
  if (seen.status !== theirs.status) told.unshift(say("The report is {now}; it was {before}.", { now: say(theirs.status), before: say(seen.status) }));
  if (JSON.stringify(seen.written_impression) !== JSON.stringify(theirs.written_impression)) told.push(say("The impression was written anew."));
  if (JSON.stringify(seen.comment) !== JSON.stringify(theirs.comment)) told.push(say("The comment is another one."));
  return told;
}

function changed(before, now, name) {
  const values = { name, now: value(now), by: now.amended?.by, why: now.amended?.why };
  if (!before) return say("{name} is new: {now}", values);
  values.before = value(before);
  if (now.amended?.is_rejected) return say("{name} was rejected by {by}: {why}", values);
  if (values.before !== values.now) {
    return now.amended ? say("{name}: {before} became {now}, by {by}: {why}", values) : say("{name}: {before} became {now}", values);
  }
  if (now.accepted && !before.accepted) return say("{name} was accepted by {by}.", { name, by: now.accepted.by });
  return say("{name}: its remarks are others.", values);
}

function value(finding) {
  const symbol = { deg: "°", 1: "", "{ratio}": "", "{pixels}": " px" }[finding.unit] ?? ` ${finding.unit ?? ""}`;
  return finding.value === null ? say("no value") : written(finding.value, { digits: finding.unit === "1" ? "0" : "1", symbol });
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
