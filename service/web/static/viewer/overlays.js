// What the analyses drew in each frame: maps as tints with an outline, and lines; fetched some frames at a time.

import { UNATTENDED } from "../events.js";
import { say } from "../words.js";
import { askedJson } from "./asked.js";
import { Refused } from "./refused.js";

const PAGE = 64;
const PAGES_KEPT = 16;
const DRAWN_KEPT = 256; // frames whose maps are kept as pictures
const AHEAD = 24;
const AT_ONCE = 2; // frames that are made ahead beside each other: a burst of them would hold up what is playing
const TINT = 40; // of 255
const SLOWEST_MILLISECONDS = 30_000; // of an answer: a cine that plays waits for it
/** Kinds that are no label of the service's: lines that a person drew, and what a frame of a wrist shows. */
const [AMENDED, BADGE] = ["amended", "badge"];

export class Overlays {
  #pages = new Map(); // page -> promise of what the service said of its frames, by frame
  #refused = new Refused(); // pages that did not come
  #broken = new Map(); // frame that came and cannot be drawn -> why
  #wanted = null; // the frame that was wanted last
  #drawn = new Map(); // frame -> what is drawn in it, null where nothing is; the least recently used first
  #drawing = new Map();
  #abort = new AbortController();
  #kinds = new Map(); // name of a segment or a line -> {label, colour}
  #paths = new WeakMap(); // line -> its path
  #hasAmended = false; // lines that a person drew, in a version
  #ahead = null; // the frame after which frames are made ahead

  /** `learnt(frame)` hears whenever something new is known of a frame; `hidden` has the labels of kinds that are not drawn. */
  constructor(address, count, { hidden, learnt }) {
    this.address = address;
    this.count = count;
    this.learnt = learnt;
    this.isSuperseded = false;
    this.hidden = hidden;
    this.opacity = 1;
    this.isOn = true;
  }

  /** What is drawn in a frame; null for one in which nothing is, undefined where that is not known yet. */
  get(number) {
    return this.#drawn.get(number);
  }

  /** One that cannot be had now is not waited for. */
  isReady(number) {
    return this.#drawn.has(number) || this.problemOf(number) !== null;
  }

  /** Why a frame's overlay is not there; null where it is, or is still awaited. */
  problemOf(number) {
    if (this.#drawn.has(number)) return null;
    return this.#broken.get(number) ?? this.#refused.why(this.#pageOf(number));
  }

  /** Labels of what has been seen so far, each with its form and its colour or words; of a thing that is both area and line, the area. */
  kinds = new Map();

  /** Make what is drawn in a frame that is wanted now; what did not come is asked for again, but not at once. */
  load(number) {
    this.#wanted = number;
    return this.#load(number);
  }

  /** Ask at once for what did not come, as far as it is wanted. */
  tryAgain() {
    this.#broken.clear();
    this.#refused.endPauses();
    return this.#wanted === null ? Promise.resolve() : this.load(this.#wanted);
  }

  async #load(number) {
    if (this.#drawn.has(number) || this.#broken.has(number) || this.#refused.isPausing(this.#pageOf(number))) return;
    let drawing = this.#drawing.get(number);
    if (!drawing) {
      drawing = this.#make(number).finally(() => {
        this.#drawing.delete(number);
        if (this.#ahead !== null && !this.#abort.signal.aborted) this.#makeAhead();
      });
      this.#drawing.set(number, drawing);
    }
    await drawing;
  }

  /** Make what comes after a frame, a little at a time, and fetch what comes after that. */
  prefetch(number) {
    this.#ahead = number;
    this.#makeAhead();
    this.#page(this.#pageOf(this.#after(number, PAGE))).catch(() => {}); // told when one of its frames is wanted
  }

  #makeAhead() {
    const ahead = Math.min(AHEAD, this.count);
    for (let step = 1; step < ahead && this.#drawing.size < AT_ONCE; step += 1) {
      const next = this.#after(this.#ahead, step);
      if (!this.isReady(next) && !this.#drawing.has(next)) this.#load(next);
    }
  }

  #after(number, step) {
    return ((number - 1 + step) % this.count) + 1;
  }

  #pageOf(number) {
    return Math.floor((number - 1) / PAGE);
  }

  close() {
    this.#abort.abort();
    this.#drawn.clear();
    this.#pages.clear();
  }

  async #make(number) {
    try {
      const page = await this.#page(this.#pageOf(number)).catch(() => null); // it is known why
      const told = page?.get(number);
      const drawn = told && { maps: [], lines: [], shown: null };
      for (const { grid, frame } of told ?? []) {
        if (frame.masks) drawn.maps.push(await drawnMaps(grid, frame.masks));
        for (const line of frame.lines) this.#paths.set(line, pathOf(line));
        drawn.lines.push(...frame.lines);
        if (frame.shown) drawn.shown = { ...frame.shown, title: frame.title };
      }
      if (this.#abort.signal.aborted) return;
      if (page) this.#drawn.set(number, drawn ?? null);
      for (const { parts } of drawn?.maps ?? []) for (const { label, colour } of parts) this.kinds.set(label, { colour, form: "area" });
      for (const line of drawn?.lines ?? []) {
        const { label, colour } = this.#kindOf(line);
        if (line.is_amended) this.tellAmended((this.#hasAmended = true));
        else if (!this.kinds.has(label)) this.kinds.set(label, { colour, form: "stroke" });
      }
      if (drawn?.shown) this.kinds.set(BADGE, { form: "badge", words: say("Plane and grade") });
      if (this.#drawn.size > DRAWN_KEPT) this.#drawn.delete(this.#drawn.keys().next().value);
    } catch (error) {
      this.#broken.set(number, error.message);
    }
    this.learnt(number);
  }

  /** Lines of a person's are seen in this cine: those of the version, and as long as they are there those that no version has. */
  tellAmended(areUnsaved) {
    if (areUnsaved || this.#hasAmended) this.kinds.set(AMENDED, { form: "dashes", words: say("Amended line") });
    else this.kinds.delete(AMENDED);
  }

  #page(page) {
    let fetching = this.#pages.get(page);
    if (!fetching && this.#refused.isPausing(page)) return Promise.reject(new Error(this.#refused.why(page)));
    if (!fetching) {
      fetching = this.#fetch(page);
      fetching.then(
        () => this.#refused.delete(page),
        (error) => this.#refuse(page, error),
      );
      this.#pages.set(page, fetching);
      if (this.#pages.size > PAGES_KEPT) this.#pages.delete(this.#pages.keys().next().value);
    }
    return fetching;
  }

  async #fetch(page) {
    const first = page * PAGE + 1;
    const last = Math.min(first + PAGE - 1, this.count);
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(SLOWEST_MILLISECONDS)]);
    const headers = this.#refused.has(page) ? UNATTENDED : {}; // asking again and again keeps no session alive
    const { analyses } = await askedJson(`${this.address}?frames=${first}-${last}`, { signal, headers });
    const byFrame = new Map();
    for (const { grid, kinds, frames, is_superseded: isSuperseded } of analyses) {
      this.isSuperseded ||= isSuperseded;
      for (const one of [...(grid?.segments ?? []), ...kinds]) this.#kinds.set(one.name, one);
      for (const frame of frames) byFrame.set(frame.frame, [...(byFrame.get(frame.frame) ?? []), { grid, frame }]);
    }
    return byFrame;
  }

  /** Forget what did not come, and ask for it again after a pause if it is wanted then. */
  #refuse(page, error) {
    this.#pages.delete(page);
    if (this.#abort.signal.aborted) return;
    const pause = this.#refused.add(page, error.message);
    setTimeout(() => {
      const isWanted = this.#wanted !== null && this.#pageOf(this.#wanted) === page && this.isOn && !document.hidden;
      if (isWanted && !this.#abort.signal.aborted) this.#load(this.#wanted);
    }, pause + 1);
  }

  /** What a frame of a wrist shows, if it is to be seen. */
  shownIn(number) {
    return this.isOn && !this.hidden.has(BADGE) ? this.#drawn.get(number)?.shown : null;
  }

  /** Draw a frame's own into a context whose units are pixels of the stored frame; `unit` is a pixel of the screen. */
  draw(context, number, unit, lines = null) {
    const drawn = this.#drawn.get(number);
    if (!this.isOn || !drawn) return false;
    context.save();
    context.globalAlpha = this.opacity;
    for (const maps of drawn.maps) this.#drawMaps(context, maps, unit);
    for (const line of lines ?? drawn.lines) this.#drawLine(context, line, unit);
    context.restore();
    return true;
  }

  /** One picture of all tints: to scale one for each map would cost more than all else that is painted. */
  #drawMaps(context, maps, unit) {
    const { grid, parts } = maps;
    const shown = parts.filter(({ label }) => !this.hidden.has(label));
    if (shown.length !== maps.tinted.length || shown.some((part, place) => part !== maps.tinted[place])) {
      Object.assign(maps, { tinted: shown, tint: tint(shown, grid) });
    }
    context.save();
    context.translate(grid.x0, grid.y0);
    const across = (grid.x1 - grid.x0) / grid.width;
    const down = (grid.y1 - grid.y0) / grid.height;
    context.scale(across, down);
    context.drawImage(maps.tint, 0, 0);
    context.lineWidth = (1.3 * unit) / Math.sqrt(across * down);
    for (const { colour, outline } of shown) {
      context.strokeStyle = colour;
      context.stroke(outline);
    }
    context.restore();
  }

  #kindOf(line) {
    return this.#kinds.get(line.label) ?? { label: line.label, colour: "#ffffff" };
  }

  #drawLine(context, line, unit) {
    const { label, colour } = this.#kindOf(line);
    const isHidden = !line.is_being_drawn && this.hidden.has(line.is_amended ? AMENDED : label);
    if (isHidden || line.points.length < 2) return;
    const path = this.#paths.get(line) ?? pathOf(line); // lines that are being dragged have none
    context.lineJoin = context.lineCap = "round";
    context.strokeStyle = "rgb(0 0 0 / .65)";
    context.lineWidth = 4.2 * unit;
    context.stroke(path);
    context.strokeStyle = colour;
    context.lineWidth = (line.is_amended ? 2.8 : 2.2) * unit;
    if (line.is_amended) context.setLineDash([9 * unit, 7 * unit]); // a person's is told apart by more than its colour
    context.stroke(path);
    context.setLineDash([]);
  }
}

/** Points count from the centre of the first pixel; a canvas counts from its corner. */
function pathOf({ points }) {
  const path = new Path2D();
  points.forEach(([x, y], place) => (place ? path.lineTo(x + 0.5, y + 0.5) : path.moveTo(x + 0.5, y + 0.5)));
  return path;
}

/** Packed bits -> an outline of each segment that shows anything, and a tint of all; small ones come last, over large ones. */
async function drawnMaps(grid, packed) {
  const bits = await inflated(packed);
  const size = grid.width * grid.height;
  const parts = [];
  grid.segments.forEach(({ label, colour }, place) => {
    const map = new Uint8Array(size);
    let area = 0;
    for (let index = 0, at = place * size; index < size; index += 1, at += 1) {
      if (bits[at >> 3] & (128 >> (at & 7))) {
        map[index] = 1;
        area += 1;
      }
    }
    if (area) parts.push({ label, colour, area, map });
  });
  parts.sort((one, other) => other.area - one.area);
  for (const part of parts) part.outline = outlined(part.map, grid.width, grid.height);
  return { grid, parts, tinted: parts, tint: tint(parts, grid) };
}

async function inflated(packed) {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function tint(parts, { width, height }) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (const { colour, map } of parts) {
    const value = Number.parseInt(colour.slice(1), 16);
    const [pixel] = new Uint32Array(new Uint8Array([value >> 16, (value >> 8) & 255, value & 255, TINT]).buffer);
    for (let index = 0; index < map.length; index += 1) if (map[index]) pixels[index] = pixel;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Where a map ends, half way between its points (marching squares); the rim of the picture is no end.
 *
 * What goes straight on is one line: an aponeurosis of hundreds of pieces is slow to stroke. */
function outlined(map, width, height) {
  const path = new Path2D();
  const begun = new Int32Array(width).fill(-1); // by column: the row in which an upright line begins
  for (let row = 0; row < height; row += 1) {
    let from = -1; // the column in which a level line begins
    for (let column = 0; column < width; column += 1) {
      const corners = row + 1 < height && column + 1 < width ? cornersAt(map, row * width + column, width) : 0;
      if (corners === 3 || corners === 12) {
        if (from < 0) from = column;
      } else if (from >= 0) {
        segment(path, from + 0.5, row + 1, column + 0.5, row + 1);
        from = -1;
      }
      if (corners === 6 || corners === 9) {
        if (begun[column] < 0) begun[column] = row;
      } else if (begun[column] >= 0) {
        segment(path, column + 1, begun[column] + 0.5, column + 1, row + 0.5);
        begun[column] = -1;
      }
      for (const [start, end] of BENDS[corners]) segment(path, column + start[0], row + start[1], column + end[0], row + end[1]);
    }
  }
  return path;
}

function cornersAt(map, at, width) {
  return map[at] | (map[at + 1] << 1) | (map[at + width + 1] << 2) | (map[at + width] << 3);
}

function segment(path, fromX, fromY, toX, toY) {
  path.moveTo(fromX, fromY);
  path.lineTo(toX, toY);
}

/** Middles of a cell's sides; its corners are the centres of four points. */
const [TOP, RIGHT, BOTTOM, LEFT] = [[1, 0.5], [1.5, 1], [1, 1.5], [0.5, 1]];
const BENDS = [
  [], [[LEFT, TOP]], [[TOP, RIGHT]], [],
  [[RIGHT, BOTTOM]], [[LEFT, TOP], [RIGHT, BOTTOM]], [], [[LEFT, BOTTOM]],
  [[BOTTOM, LEFT]], [], [[TOP, RIGHT], [BOTTOM, LEFT]], [[BOTTOM, RIGHT]],
  [], [[RIGHT, TOP]], [[TOP, LEFT]], [],
];
