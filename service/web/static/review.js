// The review beside the viewer: amend, accept, reject, draw, save, sign. What is shown the service rendered; what is typed here
// is only ever put into the page as text. Contract with the viewer: events `sonomyo:seek`, `sonomyo:frame`, `sonomyo:edit-lines`
// and `sonomyo:lines` on the document; `sonomyo:own-lines` tells of lines that are drawn and not saved, `sonomyo:report` which
// version is shown now.

import { showConflict } from "./review/conflict.js";
import { Drawing } from "./review/drawing.js";
import { holdFocus, isFree } from "./review/focus.js";
import { listen } from "./review/keys.js";
import { hear } from "./review/news.js";
import { entered, Pending, written } from "./review/pending.js";
import { Queue } from "./review/queue.js";
import { Service } from "./review/service.js";
import { discardTyped, fieldsOf, forgetKept, FORMS, isTyped, keepFields, putBack, sameForm, typedField, typedIn } from "./review/typed.js";
import { listLeft, listUnsaved, put, showUnsaved } from "./review/unsaved.js";
import { tell } from "./review/viewer.js";
import { say } from "./words.js";

const panel = document.getElementById("review-panel");
const service = new Service(panel.dataset.csrf, panel.dataset.principal);
const content = panel.querySelector("[data-content]");
let pending = new Pending();
let preview = { findings: [] };
let discards = 0;
const REMINDERS = {
  lines: say("The lines that you drew are not kept yet: keep or discard them."),
  words: say("What you typed is not kept yet: keep or discard it."),
};
/** Of each form what was pressed in it last, and whether that is being done. */
const sent = new WeakMap();
const queue = new Queue(panel, meet);
const drawing = new Drawing(content, { kept: () => pending.lines, preview: numbersOf, reveal, changed: nameLeaving });

const news = panel.querySelector("[data-news]");
const lostPlace = panel.querySelector("[data-lost]");
const find = (selector) => content.querySelector(selector);
const rows = () => [...content.querySelectorAll(".finding")];
const forms = () => [...content.querySelectorAll(FORMS)];
const rowOf = (id) => rows().find((row) => row.dataset.finding === id);

// ---- what is shown ----

async function load(version) {
  replace(await service.page(panel.dataset.source, version), version);
}

/** What was typed or drawn and not kept stays in its form, or is told where there is no such form any more. */
function replace(fresh, version) {
  const typed = typedIn(content, { isLeft: isEnding, isUnsaved: pending.count > 0 });
  const giveFocusBack = holdFocus(content, { sameForm: (form) => sameForm(content, form), sameRow: rowOf });
  const lost = placesIn(fresh).cines.has(drawing.uid) ? [] : drawing.stop();
  const open = [...content.querySelectorAll("details[open]")].map((one) => one.dataset.keep);
  const top = find("[data-read]")?.scrollTop ?? 0;
  content.replaceChildren(...fresh.querySelector("[data-content]").childNodes);
  const { report, number, status } = fresh.dataset;
  Object.assign(panel.dataset, { report, number, status, version });
  content.querySelectorAll("details").forEach((one) => (one.open = open.includes(one.dataset.keep)));
  find("[data-read]").scrollTop = top;
  news.hidden = true;
  history.replaceState(history.state, "", version === "draft" ? "?version=draft" : location.pathname);
  tell("sonomyo:report", { report_id: report, version: Number(number), status });
  show();
  showKeptWords();
  lost.push(...putBack(content, typed, openAgain));
  if (drawing.uid) drawing.goOn();
  giveFocusBack();
  tellLost(lost);
}

/** What has no place in the version that is shown stays to be copied, until the person discards it. */
function tellLost(lost) {
  const items = lost.map((words) => Object.assign(document.createElement("li"), { textContent: words }));
  lostPlace.querySelector("ul").append(...items);
  if (!items.length) return;
  lostPlace.hidden = false;
  panel.querySelector("[data-lost-said]").textContent = lostPlace.querySelector("p").textContent;
}

/** The form of another version says what was kept of it, too. */
function showKeptWords() {
  const form = find("#impression-form");
  if (!form || !pending.words) return;
  for (const [name, text] of Object.entries(pending.words)) form.elements[name].value = text ?? "";
  keepFields(form);
}

function show() {
  showUnsaved(content, pending, preview);
  drawing.tellOwn();
}

function announce(words) {
  panel.querySelector("[data-said]").textContent = words;
}

// ---- changes ----

/** Try a change: the service says whether it can be and what follows. Nothing is stored. False where it was discarded meanwhile. */
async function propose(apply, isWanted = wanted()) {
  const trial = pending.copy();
  apply(trial);
  const tried = trial.count ? service.preview(panel.dataset.report, trial.body()) : { findings: [] };
  const answer = await Promise.resolve(tried).catch((error) => {
    if (isWanted()) throw error;
  });
  if (!isWanted()) return false;
  [pending, preview] = [trial, answer];
  show();
  forgetReminders();
  if (!pending.count) offerInstead();
  announce(pending.count ? content.querySelector("[data-unsaved]").textContent : say("Nothing is unsaved."));
  return true;
}

/** The same for what is pressed: what waits its turn is not tried any more once all is discarded. */
function change(pressed, apply) {
  const isWanted = wanted();
  return queue.act(pressed, find("[data-save-problem]"), () => isWanted() && propose(apply, isWanted));
}

/** Tells later whether all, or what stands in a form, was discarded since. */
function wanted(form = null) {
  const [all, own] = [discards, form?.discards];
  return () => all === discards && own === form?.discards;
}

/** What is being saved is discarded only where it could not be saved. */
function discard() {
  if (!queue.has("save")) return discardAll();
  const unsaved = () => {
    if (!pending.count) return; // it is stored, which is what is said then
    put(find("[data-save-problem]"), "");
    discardAll();
  };
  return queue.act("discard", null, unsaved, { isAfterFailures: true });
}

function discardAll() {
  discards += 1; // what is still being tried is not taken any more
  [pending, preview] = [new Pending(), { findings: [] }];
  forms().forEach(forget);
  show();
  offerInstead();
  announce(say("All unsaved changes are discarded."));
  focusTitle();
}

function save() {
  return queue.act("save", find("[data-save-problem]"), async (isStillHere) => {
    const left = unkept();
    if (left && (!pending.count || drawing.isUnkept(left))) return refuse(left, isStillHere());
    if (!pending.count) return true;
    const made = await service.amend(panel.dataset.report, pending.body());
    return settled(made, say("Saved as version {version}.", made), isStillHere);
  });
}

/** What was made is stored, whether or not it can be shown. */
async function settled(made, words, isStillHere) {
  [pending, preview] = [new Pending(), { findings: [] }];
  const version = versionOf(made);
  const fresh = await service.page(panel.dataset.source, version).catch((error) => {
    forms().forEach((form) => form.contains(document.activeElement) || forget(form));
    show();
    offer(made.report_id);
    focusTitle();
    throw new Error([words, say("This cannot be shown yet: {why}", { why: error.message })].join(" "));
  });
  replace(fresh, version);
  announce(words);
  const left = unkept(); // the new version is without it
  if (left) remind(left, isFree());
  else focusTitle(isFree() || (isStillHere() && document.activeElement.matches(".finding")));
}

/** A draft beside a signed version is asked for as such. */
function versionOf(report) {
  const isBeside = report.status === "preliminary" && ["final", "amended"].includes(report.predecessor_status);
  return isBeside ? "draft" : "official";
}

/** Unless somebody has gone on elsewhere. */
function focusTitle(isTaken = isFree()) {
  if (isTaken) find("#review-title")?.focus();
}

/** Something else has to be kept or discarded first. */
function refuse(left, isFocused) {
  remind(left, isFocused);
  if (!isFocused) throw new Error(toldUnkept(left)); // said where it was pressed, too
  return queue.refuse();
}

function offer(id) {
  news.dataset.made = id;
  news.hidden = false;
}

/** Where nothing is unsaved any more, what somebody else saved is no conflict. */
function offerInstead() {
  const place = find("[data-conflict]");
  if (!place || place.hidden) return;
  place.replaceChildren();
  place.hidden = true;
  put(find("[data-save-problem]"), "");
  news.hidden = false;
}

async function meet(current, isStillHere) {
  const [theirs, seen] = await Promise.all([service.report(current.report_id), service.report(panel.dataset.report)]);
  const { mine, follows } = listUnsaved(content, pending);
  offer(current.report_id);
  news.hidden = true; // it is told below, with what is to be done
  const title = isOwn(theirs.act)
    ? say("You saved this report meanwhile in another tab or window")
    : say("Somebody else saved this report meanwhile");
  const [told, isFocused] = [`${title}. ${say("Nothing of yours is lost.")}`, isStillHere()];
  announce(told);
  showConflict(find("[data-conflict]"), { title, theirs, seen, mine, follows, nameOf, reapply: () => reapply(theirs), isFocused });
  return isFocused ? null : { message: told };
}

/** Whether whoever made a version reads here; the audit trail names people by their account. */
function isOwn(act) {
  return Boolean(act) && panel.dataset.principal === `user:${act.user_id}`;
}

/** As the row is called; one without a row, which is new, by the words of its name. */
function nameOf(finding) {
  const words = finding.name.replaceAll("_", " ");
  return rowOf(finding.finding_id)?.dataset.shownName ?? say(words.charAt(0).toUpperCase() + words.slice(1));
}

function reapply(theirs) {
  return queue.act("show", find("[data-save-problem]"), () => take(theirs));
}

/** Show what somebody else made, with what is unsaved here. */
async function take(theirs) {
  const fresh = await service.page(panel.dataset.source, versionOf(theirs));
  const left = pending.keepOnly(placesIn(fresh));
  const lost = listLeft(content, left);
  preview = { findings: [] };
  replace(fresh, versionOf(theirs));
  tellLost(lost);
  await propose(() => {}).catch((error) => put(find("[data-save-problem]"), error.message));
  const told = toldLoaded(theirs.version, pending.count);
  announce(left.count ? `${told} ${say("{count} no longer fit.", { count: left.count })}` : told);
  const form = find("form.in-place:not([hidden])");
  if (form && isFree()) focusFirst(form);
  else focusTitle();
}

function toldLoaded(version, count) {
  if (!count) return say("Version {version} is loaded.", { version });
  if (count === 1) return say("Version {version} is loaded, with your unsaved change.", { version });
  return say("Version {version} is loaded, with your {count} unsaved changes.", { version, count });
}

/** What can be changed in a version: nothing in one that is withdrawn. */
function placesIn(fresh) {
  const named = (selector, key) => new Set([...fresh.querySelectorAll(selector)].map((one) => one.dataset[key]));
  const isOpen = fresh.querySelector("[data-save]") !== null;
  return { findings: isOpen ? named(".finding", "finding") : new Set(), cines: named("[data-draw]", "draw"), hasWords: isOpen };
}

// ---- forms in place ----

/** Another form than the one with what would be left out: that one is shown instead. */
function open(form, opener) {
  const left = unkept(form);
  if (left) return remind(left);
  reveal(form, opener);
  focusFirst(form);
}

function reveal(form, opener) {
  closeOthers(form);
  form.hidden = false;
  opener?.setAttribute("aria-expanded", "true");
  form.opener = opener;
  nameLeaving(form);
}

function focusFirst(form) {
  const first = form.querySelector("input, select, textarea, button");
  first.focus();
  if (!isTyped(form)) first.select?.(); // else the next key would overwrite it
  form.scrollIntoView({ block: "nearest" });
}

function closeOthers(form) {
  const isLeft = (other) => other === form || other.hidden || isUnkept(other) || queue.has(sent.get(other));
  forms().forEach((other) => isLeft(other) || close(other, false));
}

function openAgain(form) {
  if (drawing.isOf(form)) return undefined; // it goes on by itself
  if (form.dataset.form === "lines") return drawing.start(form.closest(".group").querySelector("[data-draw]"));
  const opener = form.closest(".finding")?.querySelector(`[data-${form.dataset.form}]`) ?? find(`[data-open="${form.id}"]`);
  return reveal(form, opener);
}

function close(form, isFocused = true) {
  form.hidden = true;
  form.opener?.setAttribute("aria-expanded", "false");
  put(form.querySelector("[data-problem]"), "");
  form.querySelectorAll("[aria-invalid]").forEach((field) => field.removeAttribute("aria-invalid"));
  if (drawing.isOf(form)) tellLost(drawing.stop()); // a handle that is still held is let go
  if (isFocused) form.opener?.focus();
  if (isFocused) rescueFocus();
}

/** What had it is not seen any more. */
function rescueFocus() {
  if (document.activeElement !== document.body && isFree()) find("#review-title")?.focus({ preventScroll: true });
}

/** By Escape, or by the button that opened it: nothing is lost. */
function leave(form) {
  if (isUnkept(form) && !isEnding(form)) remind(form);
  else if (takeBack(form)) close(form);
}

/** Signing or withdrawing, which is asked of the service now. */
function isEnding(form) {
  return form.dataset.form in ENDS && queue.has(sent.get(form)) && sent.get(form).isBegun;
}

/** What was pressed in a form and waits or is tried is not taken any more. False where it is too late for that, which is said. */
function takeBack(form) {
  if (isEnding(form)) {
    put(form.querySelector("[data-problem]"), say("This is being done, and cannot be undone any more."));
    return false;
  }
  form.discards = (form.discards ?? 0) + 1;
  return true;
}

function discardForm(form) {
  if (!takeBack(form)) return;
  discardTyped(form);
  drawing.settle(form);
  close(form);
  forgetReminders();
}

/** What was kept of a form is undone; what is being typed or drawn stays. */
function forget(form) {
  forgetKept(form);
  if (drawing.isOf(form) && !isUnkept(form)) close(form, false);
}

// ---- what is neither kept nor discarded ----

/** The form, other than a given one, that holds what was typed or drawn and would be left out. */
function unkept(except = null) {
  return forms().find((form) => form !== except && isUnkept(form));
}

function isUnkept(form) {
  return isTyped(form) || drawing.isUnkept(form);
}

function remind(form, isFocused = true) {
  if (form.hidden) openAgain(form);
  form.closest("details")?.setAttribute("open", "");
  put(form.querySelector("[data-problem]"), toldUnkept(form));
  if (!isFocused) return;
  (typedField(form) ?? form.elements.why).focus();
  form.scrollIntoView({ block: "nearest" });
}

function toldUnkept(form) {
  return drawing.isUnkept(form) ? REMINDERS.lines : REMINDERS.words;
}

/** Once nothing is left to keep, nothing says so any more. */
function forgetReminders() {
  if (unkept()) return;
  const reminders = Object.values(REMINDERS);
  for (const place of content.querySelectorAll("[data-problem], [data-save-problem]")) if (reminders.includes(place.textContent)) put(place, "");
}

/** The button says what it does to what would be lost. */
function nameLeaving(form) {
  if (form.elements.why) form.querySelector("[data-close]").textContent = isUnkept(form) ? say("Discard") : say("Leave");
}

/** What a form that is kept changes, as it stands when that is pressed; what is typed while it waits its turn is another matter. */
const CHANGES = {
  amend: (form, id) => {
    const field = form.elements.value;
    const change = { action: "set", finding_id: id, value: entered(field.value, "number" in field.dataset), why: reason(form) };
    return (trial) => trial.changes.set(id, change);
  },
  reject: (form, id) => {
    const change = { action: "reject", finding_id: id, why: reason(form) };
    return (trial) => trial.changes.set(id, change);
  },
  lines: (form) => {
    if (!drawing.last) throw new Error(say("No line was moved yet: drag one in the picture."));
    const lines = { ...drawing.last, why: reason(form) };
    return (trial) => trial.lines.set(form.dataset.uid, lines);
  },
  words: (form) => {
    const words = { why: reason(form) };
    for (const name of ["impression", "comment"]) {
      const field = form.elements[name];
      if (field.value !== field.defaultValue) words[name] = field.value.trim() || null;
    }
    return (trial) => (trial.words = Object.keys(words).length > 1 ? words : null);
  },
};

/** After which nothing can be kept any more. */
const ENDS = {
  sign: () => async (isStillHere) => {
    if (pending.count) throw new Error(find("[data-unsaved]").textContent);
    await settled(await service.sign(panel.dataset.report), say("The report is signed."), isStillHere);
  },
  cancel: (form) => {
    const [why, fields] = [reason(form), fieldsOf(form)];
    return async (isStillHere) => {
      if (pending.count) throw new Error(say("Save or discard your unsaved changes first."));
      const made = await service.cancel(panel.dataset.report, why);
      keepFields(form, fields);
      await settled(made, say("Done."), isStillHere);
    };
  },
};

function reason(form) {
  const words = form.elements.why.value.trim();
  if (words.length >= 3) return words;
  form.elements.why.setAttribute("aria-invalid", "true");
  form.elements.why.focus();
  throw new Error(say("Give a reason of at least three characters; it stands in the report. Name no patient."));
}

async function submit(form) {
  const problem = form.querySelector("[data-problem]");
  form.querySelectorAll("[aria-invalid]").forEach((field) => field.removeAttribute("aria-invalid"));
  const isWanted = wanted(form);
  let deed;
  try {
    deed = deedOf(form, isWanted);
  } catch (error) {
    put(problem, error.message);
  }
  const pressed = deed && pressedIn(form);
  const isDone = deed && (await queue.act(pressed, problem, (isStillHere) => isWanted() && keep(form, deed, pressed, isStillHere)));
  rescueFocus();
  if (!isDone && form.elements.value && problem.textContent && !form.querySelector("[aria-invalid]")) form.elements.value.setAttribute("aria-invalid", "true");
}

/** What is done at its turn, and of what is kept then the form as it stands now. */
function deedOf(form, isWanted) {
  const kind = form.dataset.form;
  if (kind in ENDS) return { run: ENDS[kind](form), isEnd: true };
  const apply = CHANGES[kind](form, form.closest(".finding")?.dataset.finding);
  return { run: () => propose(apply, isWanted), fields: fieldsOf(form), lines: drawing.detail };
}

/** The same as before, unless something else stands in the form now, or it was taken back. */
function pressedIn(form) {
  const stands = JSON.stringify([...fieldsOf(form), drawing.isOf(form) && drawing.detail, form.discards]);
  if (!queue.has(sent.get(form)) || sent.get(form).stands !== stands) sent.set(form, { stands });
  return sent.get(form);
}

/** False where something stands in the way. */
async function keep(form, { run, isEnd, fields, lines }, pressed, isStillHere) {
  pressed.isBegun = true;
  const left = isEnd && unkept(form);
  if (left) return refuse(left, isStillHere());
  const isDone = (await run(isStillHere)) !== false;
  if (isDone && !isEnd && form.isConnected) settleForm(form, fields, lines, isStillHere);
  return isDone;
}

/** A form of which this was kept is closed, unless more was typed or drawn meanwhile, or somebody has gone on in it. */
function settleForm(form, fields, lines, isStillHere) {
  keepFields(form, fields);
  drawing.settle(form, lines);
  const isGoneOn = (form.contains(document.activeElement) || drawing.isOf(form)) && !isStillHere();
  if (!isUnkept(form) && !isGoneOn) close(form, isStillHere());
  nameLeaving(form);
  drawing.tellOwn();
  forgetReminders();
}

// ---- lines ----

function draw(button) {
  const form = drawing.formOf(button.dataset.draw);
  if (drawing.isOf(form)) return leave(form);
  const left = unkept(form);
  if (left) return remind(left);
  drawing.start(button);
}

/** What the report would say with some lines. */
async function numbersOf(lines) {
  const shown = await service.preview(panel.dataset.report, { why: "preview", lines: [lines] });
  return shown.findings.filter((one) => one.value !== null && one.amended).map(named).join("; ");
}

function named(finding) {
  const row = rowOf(finding.finding_id);
  const name = row.dataset.shownName; // German nouns keep their capital
  return `${document.documentElement.lang === "en" ? name.toLowerCase() : name} ${written(finding.value, row.dataset)}`;
}

document.addEventListener("sonomyo:frame", ({ detail }) => {
  for (const button of content.querySelectorAll("[data-seek]")) {
    const isShown = button.dataset.seek === detail.sop_instance_uid && Number(button.dataset.frame) === detail.frame;
    if (button.ariaCurrent !== String(isShown)) button.ariaCurrent = String(isShown);
  }
});

// ---- buttons ----

const PRESSED = {
  seek: (button) => tell("sonomyo:seek", { sop_instance_uid: button.dataset.seek, frame: Number(button.dataset.frame) }),
  amend: (button) => open(button.closest(".finding").querySelector("form[data-form=amend]"), button),
  reject: (button) => open(button.closest(".finding").querySelector("form[data-form=reject]"), button),
  open: (button) => open(document.getElementById(button.dataset.open), button),
  close: (button) => discardForm(button.closest("form")),
  accept: (button) => once(button, "accept"),
  restore: (button) => once(button, "restore"),
  undo: (button) => {
    const row = button.closest(".finding");
    return change(button, (trial) => trial.changes.delete(row.dataset.finding)).then((isDone) => {
      if (isDone) row.querySelectorAll(FORMS).forEach(forget);
      if (isFree()) row.focus();
    });
  },
  undoLines: (button) => undone(button, drawing.formOf(button.dataset.undoLines), (trial) => trial.lines.delete(button.dataset.undoLines)),
  undoWords: (button) => undone(button, find("#impression-form"), (trial) => (trial.words = null)),
  draw,
  save,
  discard,
  download: (button) => queue.act(button, find("[data-download-problem]"), () => download(button.dataset)),
};

function undone(button, form, apply) {
  return change(button, apply).then((isDone) => {
    if (isDone) forget(form);
    focusTitle();
  });
}

function once(button, action) {
  const id = button.closest(".finding").dataset.finding;
  return change(button, (trial) => trial.changes.set(id, { action, finding_id: id })).then(rescueFocus);
}

async function download({ download: kind, ending }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await service.download(panel.dataset.report, kind));
  link.download = `report-${panel.dataset.report}.${ending}`;
  link.click();
  URL.revokeObjectURL(link.href);
}

content.addEventListener("click", (event) => {
  const button = event.target.closest("button[type=button]");
  const name = button && Object.keys(PRESSED).find((one) => one in button.dataset);
  if (name) PRESSED[name](button);
});
content.addEventListener("submit", (event) => {
  event.preventDefault();
  submit(event.target);
});
content.addEventListener("input", (event) => event.target.form?.matches(FORMS) && nameLeaving(event.target.form));
listen(panel, { rows, leave, save });
hear({
  study: panel.dataset.study,
  place: news,
  idle: () => queue.idle,
  isShown: (id) => id === panel.dataset.report,
  newest: () => Number(find("[data-newest]")?.dataset.newest ?? Infinity), // nothing is news before there is a list
  show: (id) => queue.act("show", news.querySelector("[data-problem]"), async () => take(await service.report(id))),
});
lostPlace.querySelector("button").addEventListener("click", () => {
  lostPlace.querySelector("ul").replaceChildren();
  panel.querySelector("[data-lost-said]").textContent = "";
  lostPlace.hidden = true;
  focusTitle();
});
addEventListener("beforeunload", (event) => (pending.count || unkept() || !lostPlace.hidden) && event.preventDefault());

if (find("[data-loading]")) load(panel.dataset.version).catch((error) => put(find("[data-loading]"), error.message));
else show();
panel.dataset.ready = "true";
