// The stage of a report: cine, overlays, tools and plots. The panel beside it speaks to it by events on `document`: the stage
// takes `sonomyo:seek`, `sonomyo:edit-lines`, `sonomyo:own-lines` and `sonomyo:report`, and gives `sonomyo:frame` and `sonomyo:lines`.

import { offer } from "../single-keys.js";
import { say } from "../words.js";
import { actionsOf } from "./actions.js";
import { askedJson } from "./asked.js";
import { Frames } from "./frames.js";
import { listen } from "./keyboard.js";
import { LineEditor } from "./lines.js";
import { Measures, paintScaleBar, Scale } from "./measure.js";
import { Overlays } from "./overlays.js";
import { OwnLines } from "./own.js";
import { Player } from "./player.js";
import { Plots } from "./plots.js";
import { point } from "./pointer.js";
import { Readout, told } from "./readout.js";
import { Refused } from "./refused.js";
import { Stage } from "./stage.js";
import { Units } from "./units.js";

const root = document.querySelector("[data-viewer]");
const at = (name) => root.querySelector(`[data-${name}]`);
const view = at("view");
const announce = throttled((words) => (at("announce").textContent = words), 700);

const stage = new Stage({
  view,
  picture: at("picture"),
  over: at("over"),
  window: [
    [...document.querySelectorAll("#window feFuncR, #window feFuncG, #window feFuncB")],
    (...window) => readout.window(...window),
  ],
});
const readout = new Readout(root, at, { stage, go });
let cine = null; // what the service tells of it, with its frames, overlays and player
let opened = 0;
let drawnIn = ""; // the cine whose lines are being drawn, whichever is open
let isOpening = false; // until a frame of it is shown, or it is told why none is
let isPlayWanted = false; // before there is a cine
let tryAgain = () => {}; // what did not come
const hidden = new Set(); // kinds of what is drawn that a person hid: in every cine, and in every version

stage.addPainter((context, frame, unit) => {
  if (!cine) return;
  readout.wrist(cine.overlays.shownIn(frame), cine.overlays.opacity);
  const own = editor.isOn && editor.frame === frame ? editor.lines : ownLines.in(cine.sop_instance_uid, frame);
  const others = own && (cine.overlays.get(frame)?.lines ?? []).filter(({ label: name }) => !name.endsWith("aponeurosis"));
  const isDrawn = cine.overlays.draw(context, frame, unit, own && [...others, ...own]);
  view.dataset.drawnFrame = isDrawn ? String(frame) : "";
  if (isDrawn) units.paint(context, unit, cine.overlays);
  paintScaleBar(context, cine.scale, unit);
});
const measures = new Measures(stage, announce);
const editor = new LineEditor(stage, { changed: tellLines, said: announce });
const ownLines = new OwnLines();
const plots = new Plots(at("plots"), { more: at("more-plots"), seek: go });
const units = new Units(at("units"), { seek: go, changed: drawSeries });
let report = root.dataset.report;
let reported = null; // asked for once a frame is shown, which is what people wait for

/** The version that is shown, as JSON. */
async function read() {
  return askedJson(`/api/v1/reports/${report}`, { headers: { Accept: "application/json" } });
}

async function open(uid, { frame = null } = {}) {
  const ticket = (opened += 1);
  isPlayWanted = false;
  const button = root.querySelector(`[data-cine="${CSS.escape(uid)}"]`);
  if (!button) return;
  close();
  for (const other of root.querySelectorAll("[data-cine]")) other.setAttribute("aria-pressed", String(other === button));
  readout.complain("");
  const address = `/studies/${root.dataset.study}/cines/${uid}`;
  const { version, frames: count } = button.dataset;
  const missed = (numbers) => ticket === opened && readout.missing(numbers);
  const frames = new Frames(address, { version, count: Number(count), batch: Number(root.dataset.batch), missed });
  const start = Math.min(frame ?? Number(button.dataset.start || 1), frames.count);
  if (ticket > 1 || frame !== null) at("early")?.remove(); // what the page itself shows is another picture than this
  // Beside what is asked of the cine, which it does not need. A frame that a person asked for is gone to, shown or not.
  const early = frame === null ? frames.find(start) : frames.load(start).then(() => start);
  early.catch(() => {});
  isOpening = true;
  let found = null;
  try {
    const told = await askedJson(address);
    if (ticket !== opened) return frames.close();
    begin(told, frames, start);
    found = await early.finally(() => void drawSeries());
    if (ticket !== opened) return;
    if (!cine.player.wanted) await cine.player.seek(found); // else a person has asked for another place meanwhile
  } catch (error) {
    if (error.name === "AbortError" || ticket !== opened) return;
    if (cine?.player.wanted && cine.player.wanted !== found) return; // the place that a person asked for comes, or it is said why not
    endOpening();
    if (!cine) leave(frames);
    readout.complain(say("This cine cannot be shown: {why}", { why: error.message }), { canTryAgain: true });
    tryAgain = () => open(uid, { frame });
  }
}

/** What cannot be shown cannot be played. */
function endOpening() {
  isOpening = isPlayWanted = false;
  cine?.player.pause();
  showTransport();
}

/** A cine of which nothing was told has no pictures and no plots; those of the one before it are not its own. */
function leave(frames) {
  frames.close();
  units.draw([], { seconds: null });
  plots.draw([], { count: 0, seconds: null });
  readout.unplotted("");
}

function begin(told, frames, start) {
  const count = told.number_of_frames;
  frames.count = count;
  const overlays = overlaysOf(told.sop_instance_uid, count);
  const scale = new Scale(told.region);
  /** Why a frame can never be shown is asked for where a cine stands still at it; playing passes over it without. */
  const isPassed = (frame) => (player.isPlaying ? frames.isBroken(frame) : frames.why(frame) !== null);
  const player = new Player({
    count,
    start,
    seconds: told.time.seconds,
    isReady: (frame) => (frames.get(frame) ? !waitsForOverlay() || cine.overlays.isReady(frame) : isPassed(frame)),
    isBroken: (frame) => frames.isBroken(frame),
    want: (frame) =>
      Promise.all(player.isPlaying ? [frames.load(frame), waitsForOverlay() && cine.overlays.load(frame)] : [frames.explain(frame)]),
    show,
    changed: showTransport,
    failed: (error, frame) => cine?.player === player && didNotCome(error, frame),
  });
  cine = { ...told, frames, overlays, scale, player, late: new Refused(), events: [] };
  measures.scale = scale;
  measures.clear();
  stage.setCine(told);
  stage.setWindow(128, 256);
  view.classList.toggle("still", count < 2);
  readout.cine(told, player, scale);
  if (isPlayWanted) player.play();
  isPlayWanted = false;
  showTransport();
}

/** What the version that is shown says of a cine is drawn over it. */
function overlaysOf(uid, count) {
  const learnt = (frame) => {
    if (frame === stage.frame) {
      stage.paint();
      tellOverlay();
      if (drawnIn === uid && editor.frame !== frame && overlays.get(frame) !== undefined) beginEditing();
    }
    readout.kinds(overlays);
    units.colour(overlays.kinds);
  };
  const overlays = new Overlays(`/api/v1/reports/${report}/overlays/${uid}`, count, { hidden, learnt });
  overlays.isOn = at("overlay").getAttribute("aria-pressed") === "true";
  overlays.opacity = at("opacity").value / 100;
  overlays.tellAmended(Boolean(ownLines.of(uid)));
  return overlays;
}

function tellOverlay() {
  readout.overlay(cine?.overlays, stage.frame);
}

/** A frame that stands still is shown at once, and its overlay as soon as it is there; none flickers while the cine plays. */
function waitsForOverlay() {
  return cine !== null && cine.player.isPlaying && cine.overlays.isOn;
}

function close() {
  if (!cine) return;
  cine.player.pause();
  cine.frames.close();
  cine.overlays.close();
  pauseEditing();
  const { sop_instance_uid: uid } = cine;
  cine = null;
  showNothing();
  readout.nowhere();
  tellOverlay();
  tellFrame(uid, 0);
}

/** The view without a picture, and without what lies over one. */
function showNothing() {
  stage.show(0, null);
  view.dataset.shownFrame = view.dataset.drawnFrame = "";
  readout.wrist(null, 1);
}

/** A frame that did not come is asked for again: by a person, after a pause by itself, and when the page is looked at again. */
function didNotCome(error, frame) {
  if (error.name === "AbortError") return;
  if (isOpening) endOpening();
  readout.complain(error.message, { canTryAgain: true });
  tryAgain = () => go(frame);
  const { frames, late } = cine;
  setTimeout(() => cine?.frames === frames && askForFrameAgain(), late.add(frame, error.message) + 1);
}

async function askForFrameAgain() {
  const { frames, late, player } = cine;
  const frame = player.awaited;
  if (player.isPlaying || player.isPlayWanted || document.hidden || !late.has(frame) || late.isPausing(frame)) return;
  frames.isUnattended = true;
  await player.go(frame);
  frames.isUnattended = false;
}

function tellFrame(uid, frame) {
  document.dispatchEvent(new CustomEvent("sonomyo:frame", { detail: { sop_instance_uid: uid, frame } }));
}

function show(frame) {
  const bitmap = cine.frames.get(frame);
  const why = bitmap ? "" : cine.frames.why(frame);
  if (why === null) return;
  isOpening = false;
  if (bitmap) stage.show(frame, bitmap);
  else showNothing();
  readout.complain(why);
  cine.late.delete(frame);
  if (at("early")) {
    at("early").remove();
    performance.mark("sonomyo-ready");
  }
  const seconds = cine.player.isTimed ? cine.player.seconds[frame - 1] : null;
  readout.frame(frame, cine.number_of_frames, seconds);
  if (drawnIn && editor.frame !== frame) beginEditing();
  if (bitmap) view.dataset.shownFrame = frame;
  plots.show(frame);
  units.show(frame);
  cine.frames.prefetch(frame);
  if (cine.overlays.isOn) {
    cine.overlays.load(frame);
    cine.overlays.prefetch(frame); // while it stands still, too, so that it starts without a pause
  }
  tellOverlay();
  if (!cine.player.isPlaying) announce([told(frame, cine.number_of_frames, seconds), ...measures.of(frame)].join(". "));
  tellFrame(cine.sop_instance_uid, frame);
}

function go(frame) {
  cine?.player.go(frame);
}

/** What is asked for while the cine is still being opened is remembered; of one that cannot be shown there is nothing to play. */
function toggle() {
  if (cine && (isOpening || cine.player.wanted)) cine.player.toggle();
  else if (isOpening) isPlayWanted = !isPlayWanted;
  showTransport();
}

function showTransport() {
  readout.transport(cine?.player, isPlayWanted || cine?.player.isPlayWanted);
}

async function drawSeries() {
  if (!cine) return;
  const uid = cine.sop_instance_uid;
  const reading = (reported ??= read());
  let findings;
  try {
    ({ findings } = await reading);
  } catch (error) {
    if (reported !== reading) return;
    reported = null; // it is asked for again with the next cine, or when somebody says so
    return readout.unplotted(say("The series cannot be plotted: {why}", { why: error.message }));
  }
  if (reported !== reading) return; // another version is shown meanwhile
  readout.unplotted("");
  if (cine?.sop_instance_uid !== uid) return;
  const ofCine = findings.filter(({ evidence }) => evidence.sop_instance_uid === uid);
  const own = ofCine.filter(({ amended }) => !amended?.is_rejected);
  cine.events = own.flatMap(({ contractions }) => contractions ?? []);
  readout.events(cine.events);
  const seconds = cine.player.isTimed ? cine.player.seconds : null;
  units.draw(ofCine, { seconds });
  units.colour(cine.overlays.kinds);
  units.show(cine.player.frame || 1);
  stage.paint();
  if (root.dataset.plots !== "true") {
    at("plots-missing").hidden = !own.some(({ series }) => series);
    return;
  }
  const isDrawn = await plots.draw(own.filter((finding) => units.isShown(finding)), { count: cine.number_of_frames, seconds });
  if (!isDrawn) return readout.unplotted(say("The series cannot be plotted: {why}", { why: say("A part of the page did not load.") }));
  plots.show(cine?.player.frame || 1);
}

/** Handles on the lines of the frame that is shown, once these are known: on the person's own before the software's. */
async function beginEditing() {
  pauseEditing();
  const { overlays, sop_instance_uid: uid } = cine;
  const { frame } = stage;
  if (!frame) return false; // where there is no picture, no line is seen
  await overlays.load(frame);
  if (cine?.overlays !== overlays || stage.frame !== frame || drawnIn !== uid) return false;
  if (editor.frame === frame) return editor.isOn; // begun meanwhile
  const softwares = overlays.problemOf(frame) === null ? (overlays.get(frame)?.lines ?? []) : null;
  const lines = ownLines.in(uid, frame) ?? softwares;
  const isOn = editor.begin(frame, lines, ownLines.elsewhere(uid, frame));
  at("editing").textContent = isOn ? say("Moving the aponeurosis lines") : editor.told;
  at("editing").hidden = false;
  return isOn;
}

function pauseEditing() {
  editor.end();
  at("editing").hidden = true;
}

function endEditing() {
  drawnIn = "";
  pauseEditing();
}

function tellLines(lines) {
  const points = (name) => lines.find((line) => line.label === name).points.map(([x, y]) => [round(x), round(y)]);
  const detail = {
    sop_instance_uid: cine.sop_instance_uid,
    frame: editor.frame,
    superficial: points("superficial_aponeurosis"),
    deep: points("deep_aponeurosis"),
  };
  document.dispatchEvent(new CustomEvent("sonomyo:lines", { detail }));
}

function setOverlay(isOn) {
  at("overlay").setAttribute("aria-pressed", String(isOn));
  if (!cine) return;
  cine.overlays.isOn = isOn;
  if (isOn && stage.frame) cine.overlays.load(stage.frame);
  tellOverlay();
  stage.paint();
}

/** What did not come may come now: a person says so, or is back, maybe from signing in in another tab. */
function askAgain() {
  if (!cine || document.hidden) return;
  if (cine.overlays.isOn) cine.overlays.tryAgain();
  cine.late.endPauses();
  askForFrameAgain();
}

function useTool(tool) {
  if (!cine) return;
  const used = measures.use(tool);
  for (const button of root.querySelectorAll("[data-use]")) {
    button.setAttribute("aria-pressed", String(button.dataset.use === used));
  }
  if (used) view.focus();
}

const round = (value) => Math.round(value * 100) / 100;

function throttled(act, milliseconds) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...given), milliseconds);
  };
}

// ---- what a person does ----

const actions = actionsOf({
  ...{ root, at, stage, measures, editor, toggle, go, open, setOverlay, useTool },
  get cine() {
    return cine;
  },
});
listen(actions);
offer(at("single-keys"));
for (const button of root.querySelectorAll("[data-do]")) button.addEventListener("click", (event) => actions[button.dataset.do](event));
for (const button of root.querySelectorAll("[data-use]")) button.addEventListener("click", () => useTool(button.dataset.use));
for (const button of root.querySelectorAll("[data-cine]")) button.addEventListener("click", () => open(button.dataset.cine));
at("plot-again").addEventListener("click", () => drawSeries());
at("open-again").addEventListener("click", () => tryAgain());
for (const picture of root.querySelectorAll("[data-cine] img")) {
  const missed = () => picture.replaceWith(Object.assign(document.createElement("em"), { className: "no-preview", textContent: say("No preview") }));
  picture.addEventListener("error", missed);
  if (picture.complete && !picture.naturalWidth) missed();
}
at("overlay-again").addEventListener("click", askAgain);
document.addEventListener("visibilitychange", askAgain);
addEventListener("focus", askAgain);
at("slider").addEventListener("input", () => go(Number(at("slider").value)));
at("speed").addEventListener("change", () => cine?.player.setSpeed(Number(at("speed").value)));
at("opacity").addEventListener("input", () => {
  if (!cine) return;
  cine.overlays.opacity = at("opacity").value / 100;
  stage.paint();
});
for (const name of ["level", "width"]) {
  at(name).addEventListener("input", () => stage.setWindow(Number(at("level").value), Number(at("width").value)));
}

point({ view, stage, measures, editor, fit: actions.fit, step: (by) => cine?.player.step(by), isOpen: () => cine !== null });

// ---- the panel beside the stage ----

document.addEventListener("sonomyo:seek", ({ detail }) => {
  const uid = detail.sop_instance_uid ?? cine?.sop_instance_uid;
  if (cine && uid === cine.sop_instance_uid) go(detail.frame);
  else open(uid, { frame: detail.frame });
});
document.addEventListener("sonomyo:report", ({ detail }) => {
  if (detail.report_id === report) return;
  report = root.dataset.report = detail.report_id;
  readout.version(detail);
  reported = null;
  for (const link of root.querySelectorAll("[data-printable]")) link.href = `/api/v1/reports/${report}`;
  if (!cine) return;
  cine.overlays.close();
  cine.overlays = overlaysOf(cine.sop_instance_uid, cine.number_of_frames);
  at("kinds").replaceChildren();
  tellOverlay();
  if (stage.frame) cine.overlays.load(stage.frame);
  drawSeries();
});
document.addEventListener("sonomyo:edit-lines", async ({ detail }) => {
  if (!detail.on) return endEditing();
  drawnIn = detail.sop_instance_uid ?? cine?.sop_instance_uid ?? "";
  if (!detail.takes_focus) return void (cine?.sop_instance_uid === drawnIn && beginEditing()); // over another version
  const from = document.activeElement; // who types in the panel meanwhile goes on there
  const frame = ownLines.of(drawnIn)?.frame ?? null; // drawing goes on where it was left
  if (drawnIn !== cine?.sop_instance_uid) await open(drawnIn, { frame });
  if (!cine || drawnIn !== cine.sop_instance_uid) return;
  cine.player.pause();
  setOverlay(true);
  if (frame && frame !== stage.frame) await cine.player.go(frame);
  if (!cine || !(await beginEditing())) return;
  if ([from, document.body].includes(document.activeElement)) view.focus();
});
document.addEventListener("sonomyo:own-lines", ({ detail }) => {
  ownLines.take(detail.lines);
  if (!cine) return;
  cine.overlays.tellAmended(Boolean(ownLines.of(cine.sop_instance_uid)));
  readout.kinds(cine.overlays);
  stage.paint();
});

at("play").disabled = false; // from here on a click is heard
const first = root.querySelector("[data-cine][aria-pressed=true]") ?? root.querySelector("[data-cine]");
if (first) open(first.dataset.cine);
