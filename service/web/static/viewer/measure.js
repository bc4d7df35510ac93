// Lengths and angles in real units where the region is calibrated; where it is not, that is said.

import { decimal, say } from "../words.js";

export class Scale {
  constructor({ x0, y0, x1, y1, mm_per_pixel_x: across, mm_per_pixel_y: down, reason }) {
    Object.assign(this, { x0, y0, x1, y1, across, down, reason });
  }

  get isKnown() {
    return this.across !== null && this.down !== null;
  }

  holds(...points) {
    return this.isKnown && points.every(([x, y]) => x >= this.x0 - 1 && x <= this.x1 && y >= this.y0 - 1 && y <= this.y1);
  }

  length(from, to) {
    const [right, down] = [to[0] - from[0], to[1] - from[1]];
    if (this.holds(from, to)) return `${decimal(Math.hypot(right * this.across, down * this.down).toFixed(1))} mm`;
    const why = this.isKnown ? say("outside the calibrated region") : say("not calibrated");
    return `${Math.hypot(right, down).toFixed(0)} px (${why})`;
  }

  /** At `corner`, between the arms to the two other points. */
  angle(one, corner, other) {
    const isReal = this.holds(one, corner, other);
    const [across, down] = isReal ? [this.across, this.down] : [1, 1];
    const arm = (point) => Math.atan2((point[1] - corner[1]) * down, (point[0] - corner[0]) * across);
    const turn = Math.abs(arm(one) - arm(other));
    const degrees = (Math.min(turn, 2 * Math.PI - turn) * 180) / Math.PI;
    return `${decimal(degrees.toFixed(1))}°${isReal ? "" : ` (${say("square pixels assumed")})`}`;
  }
}

const POINTS = { ruler: 2, angle: 3 };

/** To less than half a pixel. */
function isSamePlace([x, y], [otherX, otherY]) {
  return Math.hypot(x - otherX, y - otherY) < 0.5;
}

/** Rulers and angles, by pointer or by keys: each belongs to the frame that it was made on. */
export class Measures {
  #stage;
  #said;
  #made = []; // {tool, frame, points}
  #open = null;
  #cursor = null; // [column, row] of the cross that arrows move

  constructor(stage, said) {
    this.#stage = stage;
    this.#said = said;
    this.scale = null;
    this.tool = null;
    stage.addPainter((context, frame, unit) => this.#paint(context, frame, unit));
  }

  /** Words for those of a frame. */
  of(frame) {
    return this.#made.filter((one) => one.frame === frame).map((one) => this.#words(one));
  }

  clear() {
    this.#made = [];
    this.#open = this.#cursor = null;
    this.#stage.paint();
  }

  use(tool) {
    this.tool = this.tool === tool ? null : tool;
    this.#open = null;
    this.#cursor = null;
    this.#stage.view.dataset.tool = this.tool ?? "";
    if (this.tool) this.#said(
        tool === "ruler"
          ? say("Ruler: two points. Click, or move with the arrow keys and press Enter.")
          : say("Angle: arm, corner, arm. Click, or move with the arrow keys and press Enter."),
      );
    this.#stage.paint();
    return this.tool;
  }

  removeLast() {
    const last = this.#made.findLastIndex((one) => one.frame === this.#stage.frame);
    if (last >= 0) this.#made.splice(last, 1);
    this.#said(last >= 0 ? say("Measurement removed.") : say("No measurement on this frame."));
    this.#stage.paint();
  }

  /** Whether a point of one is set, and another is to follow on this frame. */
  get isBegun() {
    return this.#open !== null && this.#open.frame === this.#stage.frame;
  }

  put(point) {
    if (!this.tool || !this.#stage.frame) return;
    if (this.isBegun && isSamePlace(point, this.#open.points.at(-1))) return; // nothing lies between them
    if (!this.#open || this.#open.frame !== this.#stage.frame) this.#open = { tool: this.tool, frame: this.#stage.frame, points: [] };
    this.#open.points.push(point);
    if (this.#open.points.length === POINTS[this.tool]) {
      this.#made.push(this.#open);
      this.#said(this.#words(this.#open));
      this.#open = null;
    }
    this.#stage.paint();
  }

  hover(point) {
    if (!this.tool) return;
    this.#cursor = point;
    this.#stage.paint();
  }

  /** Move the cross by whole pixels; it begins in the middle of the picture. */
  nudge(right, down) {
    const { columns, rows } = this.#stage;
    const [x, y] = this.#cursor ?? [columns / 2, rows / 2];
    this.#cursor = [Math.min(Math.max(x + right, 0), columns - 1), Math.min(Math.max(y + down, 0), rows - 1)];
    this.#stage.paint();
  }

  enter() {
    if (!this.#cursor) this.nudge(0, 0);
    this.put([...this.#cursor]);
  }

  #words({ tool, points }) {
    return tool === "ruler" ? this.scale.length(...points) : this.scale.angle(...points);
  }

  #paint(context, frame, unit) {
    for (const one of this.#made) if (one.frame === frame) this.#draw(context, one.points, unit, this.#words(one));
    if (this.#open && this.#open.frame === frame) {
      const points = this.#cursor ? [...this.#open.points, this.#cursor] : this.#open.points;
      const isWhole = points.length === POINTS[this.#open.tool];
      this.#draw(context, points, unit, isWhole ? this.#words({ tool: this.#open.tool, points }) : "");
    }
    if (this.tool && this.#cursor) drawCross(context, this.#cursor, unit);
  }

  #draw(context, points, unit, words) {
    const path = new Path2D();
    points.forEach(([x, y], place) => (place ? path.lineTo(x + 0.5, y + 0.5) : path.moveTo(x + 0.5, y + 0.5)));
    context.lineCap = context.lineJoin = "round";
    for (const [colour, width] of [["rgb(0 0 0 / .7)", 4], ["#ffffff", 1.6]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * unit;
      context.stroke(path);
    }
    for (const point of points) drawDot(context, point, unit, "#ffffff");
    if (words) write(context, words, points.at(-1), unit);
  }
}

/** A filled point; `unit` is a pixel of the screen. */
export function drawDot(context, [x, y], unit, colour, radius = 3) {
  context.beginPath();
  context.arc(x + 0.5, y + 0.5, radius * unit, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  context.lineWidth = 1.5 * unit;
  context.strokeStyle = "rgb(0 0 0 / .8)";
  context.stroke();
}

function drawCross(context, [x, y], unit) {
  const path = new Path2D();
  const reach = 9 * unit;
  for (const [right, down] of [[reach, 0], [0, reach]]) {
    path.moveTo(x + 0.5 - right, y + 0.5 - down);
    path.lineTo(x + 0.5 + right, y + 0.5 + down);
  }
  for (const [colour, width] of [["rgb(0 0 0 / .8)", 3.5], ["#ffffff", 1.2]]) {
    context.strokeStyle = colour;
    context.lineWidth = width * unit;
    context.stroke(path);
  }
}

/** Words beside a point, their size that of the screen. */
export function write(context, words, [x, y], unit, { size = 14, right = 10, down = -8 } = {}) {
  context.save();
  context.translate(x + 0.5 + right * unit, y + 0.5 + down * unit);
  context.scale(unit, unit);
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.lineJoin = "round";
  context.lineWidth = 4;
  context.strokeStyle = "rgb(0 0 0 / .85)";
  context.strokeText(words, 0, 0);
  context.fillStyle = "#ffffff";
  context.fillText(words, 0, 0);
  context.restore();
}

/** A bar of one, two or five centimetres (or millimetres) at the lower left of the region. */
export function paintScaleBar(context, scale, unit) {
  if (!scale?.isKnown) return;
  const wanted = 180 * unit * scale.across; // millimetres that are long enough to read
  const length = [50, 20, 10, 5, 2, 1, 0.5].find((one) => one <= wanted) ?? 0.5;
  const pixels = length / scale.across;
  const [x, y] = [scale.x0 + 12 * unit, scale.y1 - 14 * unit];
  const path = new Path2D();
  path.moveTo(x, y - 5 * unit);
  path.lineTo(x, y);
  path.lineTo(x + pixels, y);
  path.lineTo(x + pixels, y - 5 * unit);
  for (const [colour, width] of [["rgb(0 0 0 / .7)", 4], ["#ffffff", 1.6]]) {
    context.strokeStyle = colour;
    context.lineWidth = width * unit;
    context.stroke(path);
  }
  write(context, length >= 10 ? `${length / 10} cm` : `${length} mm`, [x, y], unit, { size: 12, right: 4, down: -8 });
}
