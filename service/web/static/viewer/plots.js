// One small plot a series; all share the cursor with the cine. uPlot is loaded only where there is something to plot.

import { decimal, say } from "../words.js";
import { amendedFrame, markAmended, noteOf } from "./amended.js";

const LIBRARY = "/static/vendor/uplot/uPlot.esm.js";
const HEIGHT = 128;
const STATES = ["joint_angle", "activity_gastrocnemius", "activity_soleus", "joint_moment"];
const FIRST = [
  ...STATES,
  ...STATES.map((name) => `${name}_relative`),
  ...["pennation_angle", "thickness", "fascicle_length", "myofascial_pain_probability", "activity"],
];
const FAINT = ["--plot-band", "--line"];
const SHOWN_AT_ONCE = 4;
const SHOWN_WITH_STATES = 6; // two rows of three, the last two what was measured beside them
const SYMBOLS = { deg: "°", 1: "", "{ratio}": "", "{pixels}": " px", mm2: " mm²", "%": " %", "N.m": " N m" };

export class Plots {
  #plots = [];
  #frame = 1;
  #drawing = null;
  #failures = 0; // of the library to load

  /** `seek(frame)` goes to the frame of a point that is clicked. */
  constructor(place, { more, seek }) {
    this.place = place;
    this.more = more;
    this.seek = seek;
    const redraw = () => this.#plots.forEach(({ plot }) => plot.redraw(false, true));
    for (const asked of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) matchMedia(asked).addEventListener("change", redraw);
    new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    new ResizeObserver(() => this.#fit()).observe(place);
    more.addEventListener("toggle", () => this.#fit());
  }

  /** Draw the series of one cine's findings; `seconds` is null where the cine has no time. False where the library did not come. */
  async draw(findings, { count, seconds }) {
    this.clear();
    const drawing = (this.#drawing = Symbol("drawing"));
    const series = inOrder(findings.filter(({ series: one }) => one && one.values.length === count && one.values.some(isNumber)));
    this.place.hidden = series.length === 0;
    if (!series.length) return true;
    const UPlot = await this.#library();
    if (drawing !== this.#drawing) return true; // another cine or version was asked for meanwhile
    if (!UPlot) {
      this.place.hidden = true;
      return false;
    }
    const x = seconds ?? Array.from({ length: count }, (_, index) => index + 1);
    const shown = series.some(({ name }) => STATES.includes(name)) ? SHOWN_WITH_STATES : SHOWN_AT_ONCE;
    const events = findings.flatMap(({ contractions }) => contractions ?? []);
    series.forEach((finding, place) => {
      const into = place < shown ? this.place.querySelector("[data-first]") : this.more.querySelector("[data-rest]");
      this.#plots.push(this.#make(UPlot, into, finding, x, seconds !== null, events));
    });
    this.more.hidden = series.length <= shown;
    this.more.querySelector("summary").textContent = say("{count} more series", { count: series.length - shown });
    this.#fit();
    this.show(this.#frame);
    return true;
  }

  /** Null where it does not come. By another address after that: browsers remember of a module that it failed. */
  async #library() {
    try {
      return (await import(this.#failures ? `${LIBRARY}?again=${this.#failures}` : LIBRARY)).default;
    } catch {
      this.#failures += 1;
      return null;
    }
  }

  clear() {
    for (const { plot, box } of this.#plots) {
      plot.destroy();
      box.remove();
    }
    this.#plots = [];
  }

  /** The frame that the cine shows. */
  show(frame) {
    this.#frame = frame;
    for (const { plot, line, value, finding, x } of this.#plots) {
      line.style.transform = `translateX(${plot.valToPos(x[frame - 1], "x")}px)`;
      const software = words(finding.series.values[frame - 1], finding.series.unit);
      value.textContent =
        amendedFrame(finding) === frame ? say("◆ {value}, software {software}", { value: words(finding.value, finding.unit), software }) : software;
    }
  }

  #make(UPlot, into, finding, x, isTimed, events) {
    const { series } = finding;
    const box = document.createElement("figure");
    box.className = "plot";
    const caption = document.createElement("figcaption");
    const name = document.createElement("span");
    name.textContent = `${titleOf(finding)}${side(finding)}`;
    if (series.level) name.append(band(series.level));
    const value = document.createElement("output");
    value.setAttribute("aria-hidden", "true"); // the number of the frame is told; every value would be noise
    caption.append(name, value);
    const target = document.createElement("div");
    target.setAttribute("role", "img");
    target.setAttribute("aria-label", summary(finding, isTimed ? x.at(-1) : null));
    const note = noteOf(finding, words);
    box.append(caption, target, ...note);
    into.append(box);
    const hasCourse = series.smoothed.some(isNumber);
    const data = [x, gaps(series.values, series.left_out), ...(hasCourse ? [gaps(series.smoothed), gaps(series.high), gaps(series.low)] : [])];
    const persons = amendedFrame(finding);
    if (persons) data.push(x.map((_, index) => (index === persons - 1 ? finding.value : null))); // the scale has room for it
    const ink = (name) => () => resolved(name);
    const thin = { spanGaps: false, points: { show: false } };
    const plot = new UPlot(
      {
        width: Math.max(into.clientWidth, 240),
        height: HEIGHT,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 7 }, sync: { key: "cine" } },
        scales: { x: { time: false, range: (_, low, high) => [low, high > low ? high : low + 1] } },
        axes: [
          axis(ink, { size: 26, values: (_, ticks) => ticks.map((tick) => (isTimed ? `${decimal(String(tick))} s` : `${tick}`)) }),
          axis(ink, { size: 46, space: 20, values: (_, ticks) => inSteps(ticks) }),
        ],
        series: [
          {},
          hasCourse
            ? { ...thin, stroke: ink("--plot-faint"), width: 1, points: { show: true, size: 3, fill: ink("--plot-faint"), stroke: ink("--plot-faint") }, paths: () => null }
            : { ...thin, stroke: ink("--accent"), width: 1.75 },
          ...(hasCourse ? [{ ...thin, stroke: ink("--accent"), width: 1.75 }, { ...thin, width: 0 }, { ...thin, width: 0 }] : []),
          ...(persons ? [{ ...thin, width: 0 }] : []),
        ],
        bands: hasCourse ? [{ series: [3, 4], fill: ink("--plot-band") }] : [],
        hooks: {
          draw: [
            (drawn) => markEvents(drawn, x, events, ink),
            (drawn) => persons && markAmended(drawn, x[persons - 1], finding.value, [ink("--plot-event")(), ink("--panel")()]),
          ],
        },
      },
      data,
      target,
    );
    const line = document.createElement("div");
    line.className = "now";
    plot.over.append(line);
    plot.over.addEventListener("click", () => {
      if (plot.cursor.idx !== null && plot.cursor.idx !== undefined) this.seek(plot.cursor.idx + 1);
    });
    return { plot, box, into, line, value, finding, x };
  }

  #fit() {
    for (const { plot, box } of this.#plots) {
      const width = box.clientWidth;
      if (width && Math.abs(width - plot.width) > 1) plot.setSize({ width, height: HEIGHT });
    }
    if (this.#plots.length) this.show(this.#frame);
  }
}

function inOrder(findings) {
  const place = ({ name }) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return [...findings].sort((one, other) => place(one) - place(other));
}

function axis(ink, more) {
  return { stroke: ink("--muted"), font: "11px system-ui, sans-serif", gap: 3, grid: { stroke: ink("--line"), width: 1 }, ticks: { show: false }, ...more };
}

/** Rest as a dashed line, the peak as a solid one with a triangle on top: told apart without colour. */
function markEvents(plot, x, events, ink) {
  const { ctx: context, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  context.save();
  context.strokeStyle = context.fillStyle = ink("--plot-event")();
  context.lineWidth = ratio;
  for (const { rest_frame: rest, peak_frame: peak } of events) {
    for (const [frame, isPeak] of [[rest, false], [peak, true]]) {
      const at = Math.round(plot.valToPos(x[frame - 1], "x", true)) + 0.5;
      context.setLineDash(isPeak ? [] : [3 * ratio, 3 * ratio]);
      context.beginPath();
      context.moveTo(at, bbox.top);
      context.lineTo(at, bbox.top + bbox.height);
      context.stroke();
      if (!isPeak) continue;
      context.beginPath();
      context.moveTo(at - 4 * ratio, bbox.top);
      context.lineTo(at + 4 * ratio, bbox.top);
      context.lineTo(at, bbox.top + 6 * ratio);
      context.fill();
    }
  }
  context.restore();
}

/** A custom property as a canvas understands it: the theme's half of light-dark(). */
function resolved(name) {
  const probe = document.querySelector(`[data-ink="${name}"]`) ?? document.createElement("span");
  if (!probe.isConnected) {
    probe.dataset.ink = name;
    probe.hidden = true;
    probe.style.color = `var(${name})`;
    if (FAINT.includes(name)) probe.style.forcedColorAdjust = "none"; // as strong as a curve it would hide the curves
    document.body.append(probe);
  }
  return getComputedStyle(probe).color;
}

function gaps(values, leftOut = []) {
  return values.map((value, index) => (isNumber(value) && !leftOut.includes(index + 1) ? value : null));
}

/** Which share of the frames the band holds. */
function band(level) {
  const told = document.createElement("small");
  told.textContent = say("{percent} % band", { percent: Math.round(100 * level) });
  return told;
}

function summary(finding, end) {
  const { series } = finding;
  const values = gaps(series.values, series.left_out).filter(isNumber);
  const told = { name: titleOf(finding), count: series.values.length, low: words(Math.min(...values), series.unit), high: words(Math.max(...values), series.unit) };
  return end === null
    ? say("{name} over {count} frames: {low} to {high}", told)
    : say("{name} over {count} frames, {seconds} s: {low} to {high}", { ...told, seconds: decimal(end.toFixed(1)) });
}

function words(told, unit, digits = 4) {
  if (!isNumber(told)) return "–";
  const value = Math.abs(told) < 1e-6 ? 0 : told; // what is left of rounding
  const text = Math.abs(value) >= 100 || unit === "%" ? value.toFixed(0) : String(Number(value.toPrecision(digits > 3 ? 3 : digits)));
  return decimal(text) + (unit ? (SYMBOLS[unit] ?? ` ${unit}`) : "");
}

/** What a finding is called; motor units are told apart by their number. */
function titleOf({ name, motor_unit: unit }) {
  return label(unit ? `motor_unit_${unit.number}` : name);
}

export function label(name) {
  const text = name.replaceAll("_", " ").replace(" percent", " %");
  return say(text.charAt(0).toUpperCase() + text.slice(1));
}

function side({ site }) {
  return site?.laterality ? `, ${say(site.laterality)}` : "";
}

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** As many decimals as tell the ticks apart. */
function inSteps(ticks) {
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : 1;
  const told = [0, 1, 2, 3, 4].find((decimals) => Math.abs(step - Number(step.toFixed(decimals))) < step / 100);
  return ticks.map((tick) => (isNumber(tick) ? decimal(tick.toFixed(told ?? 4)) : ""));
}
