// The review beside the viewer: amend, accept, reject, draw, save, sign. What is shown the service rendered; what is typed here
// is only ever put into the page as text. Contract with the viewer: events `sonomyo:seek`, `sonomyo:frame`, `sonomyo:edit-lines`
// and `sonomyo:lines` on the document; `sonomyo:report` tells which version is shown now.

import { showConflict } from "./review/conflict.js";
import { listen } from "./review/keys.js";
import { hear } from "./review/news.js";
import { entered, Pending, written } from "./review/pending.js";
import { Service } from "./review/service.js";
import { putBack, setApplied, typedIn } from "./review/typed.js";
import { listUnsaved, put, showUnsaved } from "./review/unsaved.js";
import { say } from "./words.js";

const panel = document.getElementById("review-panel");
const service = new Service(panel.dataset.csrf, panel.dataset.principal);
const content = panel.querySelector("[data-content]");
let pending = new Pending();
let preview = { findings: [] };
let running = Promise.resolve();
let proposals = 0;
/** The cine whose lines are being drawn, and what was drawn last. */
let drawing = null;

const news = panel.querySelector("[data-news]");
const find = (selector) => content.querySelector(selector);
const rows = () => [...content.querySelectorAll(".finding")];
const rowOf = (id) => rows().find((row) => row.dataset.finding === id);

// ---- what is shown ----

async function load(version) {
  replace(await service.page(panel.dataset.source, version), version);
}

/** What was typed and not applied stays in its form, or is told where there is no such form any more. */
function replace(fresh, version) {
  const typed = typedIn(content);
  const open = [...content.querySelectorAll("details[open]")].map((one) => one.dataset.keep);
  const top = find("[data-read]")?.scrollTop ?? 0;
  stopDrawing();
  content.replaceChildren(...fresh.querySelector("[data-content]").childNodes);
  const { report, number, status } = fresh.dataset;
  Object.assign(panel.dataset, { report, number, status, version });
  content.querySelectorAll("details").forEach((one) => (one.open = open.includes(one.dataset.keep)));
  find("[data-read]").scrollTop = top;
  news.hidden = true;
  history.replaceState(history.state, "", version === "draft" ? "?version=draft" : location.pathname);
  tell("sonomyo:report", { report_id: report, version: Number(number), status });
  show();
  const lost = putBack(content, typed, openAgain);
  put(panel.querySelector("[data-lost]"), lost.length ? say("What you typed has no place in this version: {words}", { words: lost.join("; ") }) : "");
}

function show() {
  showUnsaved(content, pending, preview);
}

function announce(words) {
  panel.querySelector("[data-said]").textContent = words;
}

// ---- changes ----

/** Try a change: the service says whether it can be and what follows. Nothing is stored. */
async function propose(apply) {
  const trial = pending.copy();
  apply(trial);
  const number = ++proposals;
  const answer = trial.count ? await service.preview(panel.dataset.report, trial.body()) : { findings: [] };
  if (number !== proposals) return;
  [pending, preview] = [trial, answer];
  show();
  announce(pending.count ? content.querySelector("[data-unsaved]").textContent : say("Nothing is unsaved."));
}

async function discard() {
  [pending, preview] = [new Pending(), { findings: [] }];
  show();
  announce(say("All unsaved changes are discarded."));
  focusTitle();
}

/** Asked while something else is under way, it follows that. */
async function save() {
  await running;
  if (!pending.count) return;
  await act(find("[data-save-problem]"), async () => {
    refuseWhileDrawing();
    const made = await service.amend(panel.dataset.report, pending.body());
    await settled(made, say("Saved as version {version}.", made));
  });
}

async function settled(made, words) {
  [pending, preview] = [new Pending(), { findings: [] }];
  await load(versionOf(made));
  announce(words);
  focusTitle();
}

/** A draft beside a signed version is asked for as such. */
function versionOf(report) {
  const isBeside = report.status === "preliminary" && ["final", "amended"].includes(report.predecessor_status);
  return isBeside ? "draft" : "official";
}

function focusTitle() {
  find("#review-title")?.focus();
}

/** Do something once, with the buttons off; what is refused is said at `place`. True when it was done. */
function act(place, deed) {
  if (panel.ariaBusy === "true") return Promise.resolve(false);
  running = done(place, deed);
  return running;
}

async function done(place, deed) {
  panel.ariaBusy = "true";
  put(place, "");
  try {
    await deed();
    return true;
  } catch (error) {
    if (error.status === 412 && error.problem.current) await meet(error.problem.current);
    else put(place, error.message);
    return false;
  } finally {
    panel.ariaBusy = "false";
  }
}

async function meet(current) {
  const [theirs, seen] = await Promise.all([service.report(current.report_id), service.report(panel.dataset.report)]);
  const { mine, follows } = listUnsaved(content, pending);
  news.hidden = true; // it is told below, with what is to be done
  announce(say("Somebody else saved this report meanwhile. Nothing of yours is lost."));
  showConflict(find("[data-conflict]"), { theirs, seen, mine, follows, nameOf, reapply: () => reapply(theirs) });
}

/** As the row is called; one without a row, which is new, by the words of its name. */
function nameOf(finding) {
  const words = finding.name.replaceAll("_", " ");
  return rowOf(finding.finding_id)?.dataset.shownName ?? say(words.charAt(0).toUpperCase() + words.slice(1));
}

function reapply(theirs) {
  return act(find("[data-save-problem]"), () => take(theirs));
}

/** Show what somebody else made, with what is unsaved here. */
async function take(theirs) {
  refuseWhileDrawing();
  const fresh = await service.page(panel.dataset.source, versionOf(theirs));
  preview = { findings: [] };
  replace(fresh, versionOf(theirs));
  const lost = pending.keepOnly(new Set(rows().map((row) => row.dataset.finding)), cines());
  await propose(() => {});
  const told = toldLoaded(theirs.version, pending.count);
  announce(lost.length ? `${told} ${say("{count} no longer fit.", { count: lost.length })}` : told);
  if (!find("form.in-place:not([hidden])")) focusTitle();
}

function toldLoaded(version, count) {
  if (!count) return say("Version {version} is loaded.", { version });
  if (count === 1) return say("Version {version} is loaded, with your unsaved change.", { version });
  return say("Version {version} is loaded, with your {count} unsaved changes.", { version, count });
}

/** Lines that were moved and not applied lie over a frame of the version that is shown: another one would lose them. */
function refuseWhileDrawing() {
  if (drawing?.detail) throw new Error(say("Keep or leave the lines that you are drawing first."));
}

function cines() {
  return new Set([...content.querySelectorAll("[data-lines-of]")].map((one) => one.dataset.linesOf));
}

// ---- forms in place ----

function open(form, opener) {
  content.querySelectorAll("form.in-place:not([hidden])").forEach((other) => other !== form && close(other, false));
  form.hidden = false;
  setApplied(form, false);
  opener?.setAttribute("aria-expanded", "true");
  form.opener = opener;
  const first = form.querySelector("input, select, textarea, button");
  first.focus();
  first.select?.();
  form.scrollIntoView({ block: "nearest" });
}

function openAgain(form) {
  if (form.dataset.form === "lines") return startDrawing(form.closest(".group").querySelector("[data-draw]"));
  const opener = form.closest(".finding")?.querySelector(`[data-${form.dataset.form}]`) ?? find(`[data-open="${form.id}"]`);
  return open(form, opener);
}

function close(form, isFocused = true) {
  form.hidden = true;
  form.opener?.setAttribute("aria-expanded", "false");
  put(form.querySelector("[data-problem]"), "");
  form.querySelectorAll("[aria-invalid]").forEach((field) => field.removeAttribute("aria-invalid"));
  if (form.dataset.form === "lines") stopDrawing();
  if (isFocused) form.opener?.focus();
}

const SUBMIT = {
  amend: (form, id) =>
    propose((trial) => {
      const field = form.elements.value;
      trial.changes.set(id, { action: "set", finding_id: id, value: entered(field.value, "number" in field.dataset), why: reason(form) });
    }),
  reject: (form, id) => propose((trial) => trial.changes.set(id, { action: "reject", finding_id: id, why: reason(form) })),
  lines: (form) =>
    propose((trial) => {
      if (!drawing?.detail) throw new Error(say("No line was moved yet: drag one in the picture."));
      trial.lines.set(form.dataset.uid, { ...drawing.detail, why: reason(form) });
    }),
  words: (form) =>
    propose((trial) => {
      const written = { why: reason(form) };
      for (const name of ["impression", "comment"]) {
        const field = form.elements[name];
        if (field.value !== field.defaultValue) written[name] = field.value.trim() || null;
      }
      if (Object.keys(written).length > 1) trial.words = written;
    }),
  sign: async () => settled(await service.sign(panel.dataset.report), say("The report is signed.")),
  cancel: async (form) => {
    const made = await service.cancel(panel.dataset.report, reason(form));
    setApplied(form, true);
    await settled(made, say("Done."));
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
  const id = form.closest(".finding")?.dataset.finding;
  form.querySelectorAll("[aria-invalid]").forEach((field) => field.removeAttribute("aria-invalid"));
  const isDone = await act(form.querySelector("[data-problem]"), () => SUBMIT[form.dataset.form](form, id));
  setApplied(form, isDone);
  if (isDone && form.isConnected) close(form);
  else if (!isDone && form.elements.value && !form.querySelector("[aria-invalid]")) form.elements.value.setAttribute("aria-invalid", "true");
}

// ---- lines ----

function startDrawing(button) {
  const group = button.closest(".group");
  drawing = { uid: button.dataset.draw, detail: null, button };
  button.setAttribute("aria-pressed", "true");
  open(group.querySelector("form[data-form=lines]"), button);
  tell("sonomyo:edit-lines", { on: true, sop_instance_uid: drawing.uid });
}

function stopDrawing() {
  if (!drawing) return;
  drawing.button.setAttribute("aria-pressed", "false");
  drawing = null;
  tell("sonomyo:edit-lines", { on: false });
}

function tell(name, detail) {
  document.dispatchEvent(new CustomEvent(name, { detail }));
}

document.addEventListener("sonomyo:lines", async ({ detail }) => {
  if (!drawing || detail.sop_instance_uid !== drawing.uid) return;
  const asked = (drawing.detail = detail);
  const form = find(`form[data-form=lines][data-uid="${CSS.escape(drawing.uid)}"]`);
  try {
    const shown = await service.preview(panel.dataset.report, { why: "preview", lines: [detail] });
    if (drawing?.detail !== asked) return;
    const numbers = shown.findings.filter((one) => one.value !== null && one.amended).map(named);
    form.querySelector("[data-drawn]").textContent = say("Frame {frame}: {numbers}.", { frame: detail.frame, numbers: numbers.join("; ") });
    put(form.querySelector("[data-problem]"), "");
  } catch (error) {
    put(form.querySelector("[data-problem]"), error.message);
  }
});

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
  close: (button) => close(button.closest("form")),
  accept: (button) => once(button, "accept"),
  restore: (button) => once(button, "restore"),
  undo: (button) => {
    const row = button.closest(".finding");
    return act(row.querySelector("[data-problem]"), () => propose((trial) => trial.changes.delete(row.dataset.finding))).then(() => row.focus());
  },
  undoLines: (button) => undone((trial) => trial.lines.delete(button.dataset.undoLines)),
  undoWords: () => undone((trial) => (trial.words = null)),
  draw: (button) => (drawing ? close(button.closest(".group").querySelector("form[data-form=lines]")) : startDrawing(button)),
  save,
  discard,
  download: (button) => act(find("[data-download-problem]"), () => download(button.dataset)),
};

function undone(apply) {
  return act(find("[data-save-problem]"), () => propose(apply)).then(focusTitle);
}

function once(button, action) {
  const id = button.closest(".finding").dataset.finding;
  return act(find("[data-save-problem]"), () => propose((trial) => trial.changes.set(id, { action, finding_id: id })));
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
listen(panel, { rows, close, save });
hear({
  study: panel.dataset.study,
  place: news,
  idle: () => running,
  isShown: (id) => id === panel.dataset.report,
  newest: () => Number(find("[data-newest]")?.dataset.newest ?? Infinity), // nothing is news before there is a list
  show: (id) => act(news.querySelector("[data-problem]"), async () => take(await service.report(id))),
});
addEventListener("beforeunload", (event) => pending.count && event.preventDefault());

if (find("[data-loading]")) load(panel.dataset.version).catch((error) => put(find("[data-loading]"), error.message));
else show();
panel.dataset.ready = "true";
