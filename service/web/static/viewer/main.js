// The stage of a report: cine, overlays, tools and plots. The panel beside it speaks to it by events on `document`: the stage
// takes `sonomyo:seek`, `sonomyo:edit-lines` and `sonomyo:report`, and gives `sonomyo:frame` and `sonomyo:lines`.

import { Frames, said } from "./frames.js";
import { listen } from "./keyboard.js";
import { LineEditor, Measures, paintScaleBar, Scale } from "./measure.js";
import { Overlays } from "./overlays.js";
import { Player } from "./player.js";
import { label, Plots } from "./plots.js";
import { point } from "./pointer.js";
import { Stage } from "./stage.js";

const root = document.querySelector("[data-viewer]");
const at = (name) => root.querySelector(`[data-${name}]`);
const view = at("view");
const announce = throttled((words) => (at("announce").textContent = words), 700);
const SPEEDS = [0.1, 0.25, 0.5, 1, 2];

const stage = new Stage({
  view,
  picture: at("picture"),
  over: at("over"),
  window: [
    [...document.querySelectorAll("#window feFuncR, #window feFuncG, #window feFuncB")],
    (level, width, isPlain) => {
      at("level").value = level;
      at("width").value = width;
      at("window-told").textContent = isPlain ? "" : `L ${Math.round(level)} W ${Math.round(width)}`;
    },
  ],
});
let cine = null; // what the service tells of it, with its frames, overlays and player
let opened = 0;
let hasShown = false;

stage.addPainter((context, frame, unit) => {
  if (!cine) return;
  const edited = editor.isOn && editor.frame === frame ? editor.lines : null;
  const others = edited && (cine.overlays.get(frame)?.lines ?? []).filter(({ label: name }) => !name.endsWith("aponeurosis"));
  const isDrawn = cine.overlays.draw(context, frame, unit, edited && [...others, ...edited]);
  view.dataset.drawnFrame = isDrawn ? String(frame) : "";
  paintScaleBar(context, cine.scale, unit);
});
const measures = new Measures(stage, announce);
const editor = new LineEditor(stage, { changed: tellLines, said: announce });
const plots = new Plots(at("plots"), { more: at("more-plots"), seek: go });
let report = root.dataset.report;
let reported = read();
reported.catch(() => {}); // told where the series are drawn

/** The version that is shown, as JSON. */
async function read() {
  const answer = await fetch(`/api/v1/reports/${report}`, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(await said(answer));
  return answer.json();
}

/** The flag beside the patient: what the version that is shown is. */
function showVersion({ version, status }) {
  for (const one of root.querySelectorAll("[data-when]")) {
    one.hidden = !one.dataset.when.split(" ").includes(status);
    one.querySelector(".flag").lastChild.data = `${status}, version ${version}`;
  }
}

async function open(uid, { frame = null } = {}) {
  const ticket = (opened += 1);
  const button = root.querySelector(`[data-cine="${CSS.escape(uid)}"]`);
  if (!button) return;
  close();
  for (const other of root.querySelectorAll("[data-cine]")) other.setAttribute("aria-pressed", String(other === button));
  complain("");
  const address = `/studies/${root.dataset.study}/cines/${uid}`;
  const frames = new Frames(address, { version: button.dataset.version, count: Number(button.dataset.frames) });
  const start = Math.min(frame ?? Number(button.dataset.start || 1), frames.count);
  const early = frames.load(start); // beside what is asked of the cine, which it does not need
  early.catch(() => {});
  try {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(await said(answer));
    const told = await answer.json();
    if (ticket !== opened) return frames.close();
    begin(told, frames);
    await early;
    if (ticket === opened) await cine.player.seek(start);
  } catch (error) {
    if (error.name !== "AbortError" && ticket === opened) complain(`This cine cannot be shown: ${error.message}`);
  }
}

function begin(told, frames) {
  const count = told.number_of_frames;
  frames.count = count;
  const overlays = overlaysOf(told.sop_instance_uid, count);
  const scale = new Scale(told.region);
  const player = new Player({
    count,
    seconds: told.time.seconds,
    isReady: (frame) => Boolean(frames.get(frame)) && (!waitsForOverlay() || cine.overlays.isReady(frame)),
    want: (frame) => Promise.all([frames.load(frame), waitsForOverlay() ? cine.overlays.load(frame) : null]),
    show,
    changed: showTransport,
  });
  cine = { ...told, frames, overlays, scale, player, events: [] };
  measures.scale = scale;
  measures.clear();
  at("kinds").replaceChildren();
  stage.setCine(told);
  stage.setWindow(128, 256);
  const slider = at("slider");
  [slider.max, slider.value, slider.disabled] = [count, 1, count < 2];
  at("count").textContent = count;
  view.classList.toggle("still", count < 2);
  at("time-note").textContent = !player.isTimed
    ? `No time axis: played at 25 frames a second. ${told.time.reason ?? ""}`
    : told.time.is_nominal
      ? "Nominal time: only a display rate is known."
      : "";
  at("scale-note").textContent = scale.isKnown ? "" : `Not calibrated: ${told.region.reason ?? "no region"}. Lengths are in pixels.`;
  showTransport();
  drawSeries();
}

/** What the version that is shown says of a cine is drawn over it. */
function overlaysOf(uid, count) {
  let known = 0;
  const overlays = new Overlays(`/api/v1/reports/${report}/overlays/${uid}`, count, (frame) => {
    const isShown = frame === stage.frame || overlays.problem !== null;
    if (isShown) stage.paint();
    if (isShown) showWrist(stage.frame);
    if (isShown || overlays.kinds.size > known) showKinds();
    known = overlays.kinds.size;
  });
  overlays.isOn = at("overlay").getAttribute("aria-pressed") === "true";
  overlays.opacity = at("opacity").value / 100;
  return overlays;
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
  endEditing();
  cine = null;
}

function show(frame) {
  const bitmap = cine.frames.get(frame);
  if (!bitmap) return;
  stage.show(frame, bitmap);
  if (!hasShown) performance.mark("sonomyo-first-frame");
  hasShown = true;
  const seconds = cine.player.isTimed ? cine.player.seconds[frame - 1] : null;
  at("slider").value = frame;
  at("slider").setAttribute("aria-valuetext", told(frame, seconds));
  at("frame").textContent = frame;
  at("seconds").textContent = seconds === null ? "" : `${seconds.toFixed(2)} s`;
  if (editor.isOn && editor.frame !== frame) beginEditing();
  view.dataset.shownFrame = frame;
  showWrist(frame);
  plots.show(frame);
  cine.frames.prefetch(frame);
  if (cine.overlays.isOn) {
    cine.overlays.load(frame);
    cine.overlays.prefetch(frame); // while it stands still, too, so that it starts without a pause
  }
  if (!cine.player.isPlaying) announce([told(frame, seconds), ...measures.of(frame)].join(". "));
  const detail = { sop_instance_uid: cine.sop_instance_uid, frame };
  document.dispatchEvent(new CustomEvent("sonomyo:frame", { detail }));
}

function told(frame, seconds) {
  return `Frame ${frame} of ${cine.number_of_frames}${seconds === null ? "" : `, ${seconds.toFixed(2)} seconds`}`;
}

function go(frame) {
  if (!cine) return;
  cine.player.pause();
  cine.player.seek(frame).catch((error) => error.name === "AbortError" || complain(error.message));
}

function showTransport() {
  if (!cine) return;
  const { player } = cine;
  const play = at("play");
  play.setAttribute("aria-label", player.isPlaying ? "Pause" : "Play");
  play.dataset.state = player.isPlaying ? "playing" : "paused";
  view.dataset.playing = String(player.isPlaying);
  at("loop").setAttribute("aria-pressed", String(player.isLooping));
  at("speed").value = String(player.speed);
  const [first, last] = player.range ?? [1, player.count];
  const span = Math.max(player.count - 1, 1);
  at("range").style.left = `${(100 * (first - 1)) / span}%`;
  at("range").style.right = `${(100 * (player.count - last)) / span}%`;
  at("range").hidden = !player.range;
  at("loop-told").textContent = player.range ? `Loop ${first} to ${last}` : "";
}

/** What a frame of a wrist shows: plane, grade, and why it is no better. */
function showWrist(frame) {
  const shown = cine?.overlays.get(frame)?.shown;
  const badge = at("shown");
  badge.hidden = !shown;
  if (!shown) return;
  at("plane").textContent = shown.plane ? `${shown.plane} ${shown.title ?? ""}` : "No standard plane";
  at("grade").textContent = shown.grade ?? "–";
  at("grade").dataset.grade = shown.grade ?? "";
  at("why").textContent = (shown.reasons ?? []).map(label).join(", ");
}

function showKinds() {
  const place = at("kinds");
  const { overlays } = cine ?? {};
  if (!overlays) return;
  const kinds = overlays.kinds;
  for (const [kind, colour] of kinds) {
    if ([...place.children].some((child) => child.dataset.kind === kind)) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "kind";
    button.dataset.kind = kind;
    button.setAttribute("aria-pressed", "true");
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = colour;
    button.append(swatch, kind);
    button.addEventListener("click", () => {
      const isShown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(isShown));
      cine.overlays.hidden[isShown ? "delete" : "add"](kind);
      stage.paint();
    });
    place.append(button);
  }
  at("overlay-note").textContent = overlays.problem
    ? `No overlay: ${overlays.problem}`
    : overlays.isSuperseded
      ? "The cine was analysed anew since this version: its masks are not those of this report and are not shown."
      : kinds.size
        ? ""
        : "Nothing was drawn in this frame.";
}

async function drawSeries() {
  const uid = cine.sop_instance_uid;
  let findings;
  try {
    ({ findings } = await reported);
  } catch (error) {
    return complain(`The series cannot be plotted: ${error.message}`);
  }
  if (cine?.sop_instance_uid !== uid) return;
  const own = findings.filter(({ evidence, amended }) => evidence.sop_instance_uid === uid && !amended?.is_rejected);
  cine.events = own.flatMap(({ contractions }) => contractions ?? []);
  showEvents();
  if (root.dataset.plots !== "true") {
    at("plots-missing").hidden = !own.some(({ series }) => series);
    return;
  }
  await plots.draw(own, { count: cine.number_of_frames, seconds: cine.player.isTimed ? cine.player.seconds : null });
  plots.show(stage.frame || 1);
}

/** Rest and peak of each contraction, as buttons beside the slider. */
function showEvents() {
  const place = at("events");
  place.replaceChildren();
  place.hidden = cine.events.length === 0;
  cine.events.forEach(({ rest_frame: rest, peak_frame: peak }, index) => {
    for (const [kind, frame] of [["rest", rest], ["peak", peak]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "small";
      button.textContent = `${kind === "peak" ? "▲ Peak" : "┆ Rest"} ${cine.events.length > 1 ? index + 1 : ""}`.trim();
      button.title = `Frame ${frame}`;
      button.addEventListener("click", () => go(frame));
      place.append(button);
    }
  });
}

function beginEditing() {
  const isOn = editor.begin(stage.frame, cine.overlays.get(stage.frame)?.lines ?? []);
  at("editing").hidden = !isOn;
  return isOn;
}

function endEditing() {
  editor.end();
  at("editing").hidden = true;
}

function tellLines(lines) {
  const points = (name) => lines.find((line) => line.label === name).points.map(([x, y]) => [round(x), round(y)]);
  const detail = {
    sop_instance_uid: cine.sop_instance_uid,
    frame: stage.frame,
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
  stage.paint();
}

function useTool(tool) {
  if (!cine) return;
  const used = measures.use(tool);
  for (const button of root.querySelectorAll("[data-use]")) {
    button.setAttribute("aria-pressed", String(button.dataset.use === used));
  }
  if (used) view.focus();
}

function complain(words) {
  at("problem").textContent = words;
  at("problem").hidden = !words;
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

const isAiming = () => measures.tool !== null;
const arrow = (right, down, step) => (event) => {
  if (!cine) return;
  const by = event.shiftKey ? 10 : 1;
  if (isAiming()) measures.nudge(right * by, down * by);
  else if (editor.isOn) editor.nudge(right * by * 0.5, down * by * 0.5);
  else if (event.shiftKey) stage.pan(-40 * right, -40 * down);
  else if (step) cine.player.step(step);
  else stage.setWindow(stage.level + 4 * down, stage.width);
};
const speedBy = (by) => () => {
  const place = SPEEDS.indexOf(cine.player.speed);
  cine.player.setSpeed(SPEEDS[Math.min(Math.max(place + by, 0), SPEEDS.length - 1)]);
};
const actions = {
  toggle: () => cine?.player.toggle(),
  left: arrow(-1, 0, -1),
  right: arrow(1, 0, 1),
  up: arrow(0, -1, 0),
  down: arrow(0, 1, 0),
  back: () => cine?.player.step(-10),
  ahead: () => cine?.player.step(10),
  first: () => go(1),
  last: () => go(cine?.number_of_frames),
  loopFrom: () => cine?.player.setRange(stage.frame, Math.max(cine.player.last, stage.frame)),
  loopTo: () => cine?.player.setRange(Math.min(cine.player.first, stage.frame), stage.frame),
  loopAll: () => cine?.player.setRange(1, cine.player.count),
  loop: () => cine?.player.setLooping(!cine.player.isLooping),
  slower: speedBy(-1),
  faster: speedBy(1),
  overlay: () => setOverlay(at("overlay").getAttribute("aria-pressed") !== "true"),
  ruler: () => useTool("ruler"),
  angle: () => useTool("angle"),
  window: () => {
    at("window").open = !at("window").open;
    if (at("window").open) at("level").focus();
  },
  enter: () => isAiming() && measures.enter(),
  remove: () => measures.removeLast(),
  leave: () => {
    at("window").open = false;
    if (isAiming()) useTool(measures.tool);
    else if (document.activeElement.closest(".beside")) view.focus();
  },
  findings: () => root.querySelector(".finding")?.focus(), // from there on the panel's own keys lead
  handleBefore: () => editor.isOn && editor.choose(-1),
  handleAfter: () => editor.isOn && editor.choose(1),
  larger: () => stage.zoom(1.25),
  smaller: () => stage.zoom(0.8),
  fit: () => {
    stage.fit();
    stage.setWindow(128, 256);
  },
  peak: () => {
    const peaks = (cine?.events ?? []).map(({ peak_frame: peak }) => peak);
    if (peaks.length) go(peaks.find((peak) => peak > stage.frame) ?? peaks[0]);
  },
  nextCine: () => {
    const all = [...root.querySelectorAll("[data-cine]")];
    const here = all.findIndex((one) => one.getAttribute("aria-pressed") === "true");
    if (all.length > 1) open(all[(here + 1) % all.length].dataset.cine);
  },
  theme: () => {
    const choice = document.querySelector("[data-theme-choice]");
    const isDark = getComputedStyle(document.documentElement).colorScheme === "dark" || (!choice.value && matchMedia("(prefers-color-scheme: dark)").matches);
    choice.value = isDark ? "light" : "dark";
    choice.dispatchEvent(new Event("change", { bubbles: true }));
  },
  full: () => (document.fullscreenElement ? document.exitFullscreen() : at("stage").requestFullscreen()),
  help: () => at("help").showModal(),
};
listen(actions);
for (const button of root.querySelectorAll("[data-do]")) button.addEventListener("click", (event) => actions[button.dataset.do](event));
for (const button of root.querySelectorAll("[data-use]")) button.addEventListener("click", () => useTool(button.dataset.use));
for (const button of root.querySelectorAll("[data-cine]")) button.addEventListener("click", () => open(button.dataset.cine));
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
  showVersion(detail);
  reported = read();
  reported.catch(() => {}); // told where the series are drawn
  for (const link of root.querySelectorAll("[data-printable]")) link.href = `/api/v1/reports/${report}`;
  if (!cine) return;
  cine.overlays.close();
  cine.overlays = overlaysOf(cine.sop_instance_uid, cine.number_of_frames);
  at("kinds").replaceChildren();
  if (stage.frame) cine.overlays.load(stage.frame);
  drawSeries();
});
document.addEventListener("sonomyo:edit-lines", async ({ detail }) => {
  if (!detail.on) return endEditing();
  if (detail.sop_instance_uid && detail.sop_instance_uid !== cine?.sop_instance_uid) await open(detail.sop_instance_uid);
  if (!cine) return;
  cine.player.pause();
  setOverlay(true);
  await cine.overlays.load(stage.frame);
  if (beginEditing()) view.focus();
});

const first = root.querySelector("[data-cine][aria-pressed=true]") ?? root.querySelector("[data-cine]");
if (first) open(first.dataset.cine);
