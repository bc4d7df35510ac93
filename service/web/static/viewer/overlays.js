// What the analyses drew in each frame: maps as tints with an outline, and lines; fetched some frames at a time.

import { said } from "./frames.js";

const PAGE = 64;
const PAGES_KEPT = 16;
const DRAWN_KEPT = 256; // frames whose maps are kept as pictures
const AHEAD = 24;
const TINT = 40; // of 255

export class Overlays {
  #pages = new Map(); // page -> promise of what the service said of its frames, by frame
  #drawn = new Map(); // frame -> what is drawn in it, null where nothing is; the least recently used first
  #drawing = new Map();
  #abort = new AbortController();
  #kinds = new Map(); // name of a segment or a line -> {label, colour}

  /** `learnt()` hears whenever something new is known. */
  constructor(address, count, learnt) {
    this.address = address;
    this.count = count;
    this.learnt = learnt;
    this.isSuperseded = false;
    this.problem = null;
    this.hidden = new Set(); // labels of kinds that are not drawn
    this.opacity = 1;
    this.isOn = true;
  }

  /** What is drawn in a frame; null for one in which nothing is, undefined where that is not known yet. */
  get(number) {
    return this.#drawn.get(number);
  }

  isReady(number) {
    return this.problem !== null || this.#drawn.has(number);
  }

  /** Labels of what has been seen so far, each with its colour and whether it is a line; of a thing that is both, the area. */
  get kinds() {
    const kinds = new Map();
    for (const drawn of this.#drawn.values()) {
      for (const { parts } of drawn?.maps ?? []) for (const { label, colour } of parts) kinds.set(label, { colour, isLine: false });
      for (const line of drawn?.lines ?? []) {
        const { label, colour } = this.#kinds.get(line.label) ?? { label: line.label, colour: "#ffffff" };
        if (!kinds.has(label)) kinds.set(label, { colour, isLine: true });
      }
    }
    return kinds;
  }

  async load(number) {
    if (this.isReady(number)) return;
    let drawing = this.#drawing.get(number);
    if (!drawing) {
      drawing = this.#make(number).finally(() => this.#drawing.delete(number));
      this.#drawing.set(number, drawing);
    }
    await drawing;
  }

  prefetch(number) {
    const ahead = Math.min(AHEAD, this.count);
    for (let step = 1; step < ahead; step += 1) this.load(((number - 1 + step) % this.count) + 1);
  }

  close() {
    this.#abort.abort();
    this.#drawn.clear();
    this.#pages.clear();
  }

  async #make(number) {
    try {
      const told = (await this.#page(Math.floor((number - 1) / PAGE))).get(number);
      const drawn = told && { maps: [], lines: [], shown: null };
      for (const { grid, frame } of told ?? []) {
        if (frame.masks) drawn.maps.push(await drawnMaps(grid, frame.masks));
        drawn.lines.push(...frame.lines);
        if (frame.shown) drawn.shown = { ...frame.shown, title: frame.title };
      }
      if (this.#abort.signal.aborted) return;
      this.#drawn.set(number, drawn ?? null);
      if (this.#drawn.size > DRAWN_KEPT) this.#drawn.delete(this.#drawn.keys().next().value);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.problem = error.message;
    }
    this.learnt();
  }

  #page(page) {
    let fetching = this.#pages.get(page);
    if (!fetching) {
      fetching = this.#fetch(page);
      this.#pages.set(page, fetching);
      if (this.#pages.size > PAGES_KEPT) this.#pages.delete(this.#pages.keys().next().value);
    }
    return fetching;
  }

  async #fetch(page) {
    const first = page * PAGE + 1;
    const last = Math.min(first + PAGE - 1, this.count);
    const answer = await fetch(`${this.address}?frames=${first}-${last}`, { signal: this.#abort.signal });
    if (!answer.ok) throw new Error(await said(answer));
    const byFrame = new Map();
    for (const { grid, kinds, frames, is_superseded: isSuperseded } of (await answer.json()).analyses) {
      this.isSuperseded ||= isSuperseded;
      for (const one of [...(grid?.segments ?? []), ...kinds]) this.#kinds.set(one.name, one);
      for (const frame of frames) byFrame.set(frame.frame, [...(byFrame.get(frame.frame) ?? []), { grid, frame }]);
    }
    return byFrame;
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

  #drawMaps(context, { grid, parts }, unit) {
    context.save();
    context.translate(grid.x0, grid.y0);
    const across = (grid.x1 - grid.x0) / grid.width;
    const down = (grid.y1 - grid.y0) / grid.height;
    context.scale(across, down);
    context.imageSmoothingQuality = "high";
    for (const part of parts) {
      if (this.hidden.has(part.label)) continue;
      context.drawImage(part.tint, 0, 0);
      context.strokeStyle = part.colour;
      context.lineWidth = (1.3 * unit) / Math.sqrt(across * down);
      context.stroke(part.outline);
    }
    context.restore();
  }

  #drawLine(context, line, unit) {
    const { label, colour } = this.#kinds.get(line.label) ?? { label: line.label, colour: "#ffffff" };
    if (this.hidden.has(label) || line.points.length < 2) return;
    const path = new Path2D();
    // Points count from the centre of the first pixel; a canvas counts from its corner.
    line.points.forEach(([x, y], place) => (place ? path.lineTo(x + 0.5, y + 0.5) : path.moveTo(x + 0.5, y + 0.5)));
    context.lineJoin = context.lineCap = "round";
    context.strokeStyle = "rgb(0 0 0 / .65)";
    context.lineWidth = 4.2 * unit;
    context.stroke(path);
    context.strokeStyle = colour;
    context.lineWidth = 2.2 * unit;
    context.stroke(path);
  }
}

/** Packed bits -> for each segment that shows anything a tint and an outline; small ones come last, over large ones. */
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
  return {
    grid,
    parts: parts.map(({ label, colour, map }) => ({
      label,
      colour,
      tint: tinted(map, grid, colour),
      outline: outlined(map, grid.width, grid.height),
    })),
  };
}

async function inflated(packed) {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function tinted(map, { width, height }, colour) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const value = Number.parseInt(colour.slice(1), 16);
  const [red, green, blue] = [value >> 16, (value >> 8) & 255, value & 255];
  for (let index = 0; index < map.length; index += 1) {
    if (map[index]) image.data.set([red, green, blue, TINT], 4 * index);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Where a map ends, half way between its points (marching squares); the rim of the picture is no end. */
function outlined(map, width, height) {
  const path = new Path2D();
  for (let row = 0; row + 1 < height; row += 1) {
    for (let column = 0; column + 1 < width; column += 1) {
      const at = row * width + column;
      const corners = map[at] | (map[at + 1] << 1) | (map[at + width + 1] << 2) | (map[at + width] << 3);
      for (const [from, to] of SIDES[corners]) {
        path.moveTo(column + from[0], row + from[1]);
        path.lineTo(column + to[0], row + to[1]);
      }
    }
  }
  return path;
}

/** Middles of a cell's sides; its corners are the centres of four points. */
const [TOP, RIGHT, BOTTOM, LEFT] = [[1, 0.5], [1.5, 1], [1, 1.5], [0.5, 1]];
const SIDES = [
  [], [[LEFT, TOP]], [[TOP, RIGHT]], [[LEFT, RIGHT]],
  [[RIGHT, BOTTOM]], [[LEFT, TOP], [RIGHT, BOTTOM]], [[TOP, BOTTOM]], [[LEFT, BOTTOM]],
  [[BOTTOM, LEFT]], [[BOTTOM, TOP]], [[TOP, RIGHT], [BOTTOM, LEFT]], [[BOTTOM, RIGHT]],
  [[RIGHT, LEFT]], [[RIGHT, TOP]], [[TOP, LEFT]], [],
];
