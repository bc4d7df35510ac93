// Motor units of a cine: their numbers over the picture, a row of firings each, the mean twitch of the chosen one.

import { decimal, say } from "../words.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000; // units of a row's drawing, whatever its width on the screen
const TWITCH = { width: 200, height: 96, left: 4, right: 4, top: 8, bottom: 8 };
const GONE = "#c8c8c8"; // of a territory that a person rejected

export class Units {
  #units = [];
  #rows = [];
  #end = 1;
  #drawn = "";
  #seconds = null;
  #chosen = null; // a finding's motor unit
  #changed;
  #seek;

  /** `seek(frame)` goes to the frame of a firing; `changed()` hears that another unit was chosen. */
  constructor(place, { seek, changed }) {
    this.place = place;
    this.#seek = seek;
    this.#changed = changed;
    this.list = place.querySelector("[data-unit-rows]");
    this.axis = place.querySelector("[data-unit-axis]");
    this.twitch = place.querySelector("[data-twitch]");
  }

  /** Those of one cine's findings, rejected ones too; `seconds` is when each frame was acquired. */
  draw(findings, { seconds }) {
    const drawn = findings.map(({ finding_id: id, value, amended }) => [id, value, amended?.at].join(" ")).join();
    if (drawn === this.#drawn && seconds === this.#seconds) return; // rows that are there keep the focus
    this.#drawn = drawn;
    const chosen = this.#chosen?.number;
    const focused = this.#rows.find(({ button }) => button === document.activeElement)?.unit.number;
    this.#seconds = seconds;
    this.#units = findings.filter(({ motor_unit: unit }) => unit).map(unitOf);
    this.place.hidden = !this.#units.length || !seconds;
    this.list.replaceChildren();
    this.#rows = [];
    this.#chosen = this.#units.find(({ number }) => number === chosen) ?? this.#units.find(({ isRejected }) => !isRejected) ?? this.#units[0] ?? null;
    this.place.classList.toggle("judged", this.#units.some(({ amended }) => amended));
    if (this.place.hidden) return;
    this.#end = Math.max(seconds.at(-1), ...this.#units.flatMap(({ firings_seconds: times }) => times), 1e-6);
    for (const unit of this.#units) this.#rows.push(this.#row(unit));
    this.#rows.find(({ unit }) => unit.number === focused)?.button.focus();
    this.#drawAxis();
    this.#tellChosen();
  }

  /** Of several series of motor units that of the chosen one stands for all. */
  isShown(finding) {
    return !finding.motor_unit || finding.motor_unit.number === this.#chosen?.number;
  }

  /** The frame that the cine shows. */
  show(frame) {
    const now = this.#seconds?.[frame - 1];
    if (now === undefined || this.place.hidden) return;
    for (const { unit, cursor, button } of this.#rows) {
      cursor.style.left = `${(100 * now) / this.#end}%`;
      button.classList.toggle("fires", !unit.isRejected && unit.firings_seconds.some((time) => time <= now && now - time < 0.05));
    }
  }

  /** As soon as what is drawn in the picture has told them. */
  colour(kinds) {
    for (const { unit, button } of this.#rows) {
      const colour = kinds.get(nameOf(unit))?.colour;
      if (colour) button.style.setProperty("--unit", colour);
    }
  }

  /** The number of each unit in the middle of its territory; the chosen one's stands out, a rejected one's is struck through. */
  paint(context, unit, overlays) {
    if (!overlays.isOn) return;
    context.save();
    context.globalAlpha = overlays.opacity;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const one of this.#units) {
      const kind = one.isRejected ? { colour: GONE } : overlays.kinds.get(nameOf(one));
      if (!kind || overlays.hidden.has(nameOf(one))) continue;
      for (const { points } of one.lines) this.#paintNumber(context, one, points, kind.colour, unit);
    }
    context.restore();
  }

  #paintNumber(context, one, points, colour, unit) {
    const isChosen = one === this.#chosen;
    const columns = points.map(([column]) => column);
    const rows = points.map(([, row]) => row);
    const x = (Math.min(...columns) + Math.max(...columns)) / 2 + 0.5;
    const y = (Math.min(...rows) + Math.max(...rows)) / 2 + 0.5;
    trace(context, points);
    if (one.isRejected) dash(context, colour, unit);
    if (isChosen) {
      context.save();
      context.globalAlpha *= 0.28;
      context.fillStyle = colour;
      context.fill();
      context.restore();
    }
    const size = (isChosen ? 17 : 14) * unit;
    context.font = `${isChosen ? 700 : 600} ${size}px system-ui, sans-serif`;
    context.lineWidth = 4 * unit;
    context.lineJoin = "round";
    context.strokeStyle = "rgb(0 0 0 / .75)";
    context.strokeText(one.number, x, y);
    context.fillStyle = isChosen ? "#ffffff" : colour;
    context.fillText(one.number, x, y);
    if (one.isRejected) strike(context, x, y, size, unit);
  }

  #row(unit) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "unit";
    const name = document.createElement("span");
    name.className = "unit-name";
    name.textContent = unit.number;
    const rate = document.createElement("span");
    rate.className = "unit-rate";
    rate.textContent = rateOf(unit);
    button.classList.toggle("rejected", unit.isRejected);
    button.classList.toggle("amended", Boolean(unit.amended) && !unit.isRejected);
    const track = document.createElement("span");
    track.className = "unit-track";
    const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const strokes = unit.firings_seconds.map((time) => `M${(WIDTH * time) / this.#end} 1v8`).join("");
    drawing.append(svg("path", { d: strokes, "vector-effect": "non-scaling-stroke" }));
    const cursor = document.createElement("span");
    cursor.className = "unit-now";
    track.append(drawing, cursor);
    button.append(name, track, rate);
    button.setAttribute("aria-label", labelOf(unit));
    button.addEventListener("click", (event) => {
      this.#choose(unit);
      const box = track.getBoundingClientRect();
      if (event.detail && event.clientX >= box.left && event.clientX <= box.right) this.#goTo((this.#end * (event.clientX - box.left)) / box.width);
    });
    button.addEventListener("keydown", (event) => this.#step(event, unit));
    this.list.append(button);
    return { unit, button, cursor };
  }

  /** Up and down choose; the arrows to the sides step from frame to frame, as everywhere. */
  #step(event, unit) {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const next = by && this.#rows[this.#units.indexOf(unit) + by];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    if (!next) return;
    next.button.focus();
    this.#choose(next.unit);
  }

  /** The nearest frame to a moment. */
  #goTo(time) {
    let nearest = 0;
    this.#seconds.forEach((one, place) => {
      if (Math.abs(one - time) < Math.abs(this.#seconds[nearest] - time)) nearest = place;
    });
    this.#seek(nearest + 1);
  }

  #choose(unit) {
    if (unit === this.#chosen) return;
    this.#chosen = unit;
    this.#tellChosen();
    this.#changed();
  }

  #tellChosen() {
    for (const { unit, button } of this.#rows) button.setAttribute("aria-pressed", String(unit === this.#chosen));
    if (this.#chosen.isRejected) this.#tellRejected(this.#chosen);
    else this.#drawTwitch(this.#chosen);
  }

  #drawAxis() {
    this.axis.replaceChildren();
    const step = [0.1, 0.25, 0.5, 1, 2, 5, 10].find((one) => this.#end / one <= 6) ?? 10;
    for (let at = 0; at <= this.#end + 1e-9; at += step) {
      const tick = document.createElement("span");
      tick.textContent = `${decimal(String(Number(at.toFixed(2))))} s`;
      tick.style.left = `${(100 * at) / this.#end}%`;
      this.axis.append(tick);
    }
  }

  #tellRejected({ number, amended }) {
    const words = document.createElement("figcaption");
    words.textContent = say("{name} was rejected by {by}: {why}", { name: say("Motor unit {number}", { number }), by: amended.by, why: amended.why });
    this.twitch.replaceChildren(words);
  }

  #drawTwitch({ number, twitch }) {
    const { width, height, left, right, top, bottom } = TWITCH;
    const { time_seconds: times, values, unit } = twitch;
    const most = Math.max(...values.map(Math.abs), 1e-9);
    const x = (time) => left + ((time - times[0]) / (times.at(-1) - times[0])) * (width - left - right);
    const y = (value) => top + ((most - value) / (2 * most)) * (height - top - bottom);
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
    const peak = values.indexOf(Math.max(...values));
    const told = { number, peak: decimal(values[peak].toFixed(2)), unit, after: Math.round(1000 * times[peak]) };
    drawing.setAttribute("aria-label", say("Mean twitch of motor unit {number}: {peak} {unit} at its peak, {after} ms after the discharge", told));
    drawing.append(
      svg("path", { class: "zero", d: `M${left} ${y(0)}H${width - right}` }),
      svg("path", { class: "zero discharge", d: `M${x(0)} ${top}V${height - bottom}` }),
      svg("path", { class: "course", d: values.map((value, place) => `${place ? "L" : "M"}${x(times[place]).toFixed(1)} ${y(value).toFixed(1)}`).join("") }),
    );
    const words = document.createElement("figcaption");
    const name = document.createElement("span");
    name.textContent = say("Mean twitch, unit {number}", { number });
    const size = document.createElement("span");
    size.className = "muted";
    size.textContent = say("peak {peak} {unit} after {after} ms", told);
    words.append(name, size);
    this.twitch.replaceChildren(words, drawing);
  }
}

/** The rate is the finding's value, which a person may have set; the firings are the software's. */
function unitOf({ motor_unit: unit, value, amended, evidence }) {
  return { ...unit, rate_hz: value ?? unit.rate_hz, amended, isRejected: Boolean(amended?.is_rejected), lines: evidence.lines };
}

function rateOf(unit) {
  if (unit.isRejected) return say("was rejected");
  const rate = decimal(unit.rate_hz.toFixed(1));
  return unit.amended ? say("{rate} Hz, amended", { rate }) : `${rate} Hz`;
}

function labelOf(unit) {
  const { number, amended } = unit;
  const told = { number, count: unit.firings_seconds.length, rate: decimal(unit.rate_hz.toFixed(1)), area: decimal(unit.area_mm2.toFixed(0)), by: amended?.by };
  if (unit.isRejected) return say("Motor unit {number}: rejected by {by}; {count} firings, territory {area} mm²", told);
  return amended
    ? say("Motor unit {number}: {count} firings, {rate} Hz as amended by {by}, territory {area} mm²", told)
    : say("Motor unit {number}: {count} firings, {rate} Hz, territory {area} mm²", told);
}

function trace(context, points) {
  context.beginPath();
  points.forEach(([column, row], place) => (place ? context.lineTo(column + 0.5, row + 0.5) : context.moveTo(column + 0.5, row + 0.5)));
}

/** Of what was rejected: an outline that is not one any more. */
function dash(context, colour, unit) {
  context.save();
  context.setLineDash([5 * unit, 4 * unit]);
  context.lineWidth = 1.5 * unit;
  context.strokeStyle = colour;
  context.stroke();
  context.restore();
}

function strike(context, x, y, size, unit) {
  for (const [width, style] of [[4, "rgb(0 0 0 / .75)"], [2, "#ffffff"]]) {
    context.beginPath();
    context.moveTo(x - 0.75 * size, y + 0.4 * size);
    context.lineTo(x + 0.75 * size, y - 0.4 * size);
    context.lineWidth = width * unit;
    context.strokeStyle = style;
    context.stroke();
  }
}

/** As the picture's legend has it. */
function nameOf({ number }) {
  return `Motor unit ${number}`;
}

function svg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
