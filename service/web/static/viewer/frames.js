// The frames of one cine: fetched several at a time, kept compressed, decoded ahead of where they are shown.

import { UNATTENDED } from "../events.js";
import { say } from "../words.js";
import { asked } from "./asked.js";
import { Batch } from "./batch.js";

const AS_STORED = { imageOrientation: "none", colorSpaceConversion: "none", premultiplyAlpha: "none" };
const IN_FLIGHT = 3;
const DECODED_BYTES = 192 << 20;
const COMPRESSED_BYTES = 192 << 20;
const AHEAD = 32;
const REFUSED = 422; // the service read the frame and cannot make a picture of it
const [FIRST_PAUSE, LONGEST_PAUSE] = [2000, 60_000]; // milliseconds after a batch that failed in which none is asked for ahead
const AT_ONCE = 4; // frames that are decoded ahead beside each other, so that the one that is wanted does not wait behind them

export class Frames {
  #batches = new Map(); // by their index
  #bytes = 0; // of the batches that are there
  #arrived = 0; // how many these are
  #bitmaps = new Map(); // frame -> ImageBitmap, the least recently used first
  #decoding = new Map();
  #failed = new Set(); // frames that did not come: asked for again when they are wanted, not ahead of that
  #broken = new Map(); // frames that can never be shown -> why, null until somebody wants to know
  #waiting = [];
  #inFlight = 0;
  #pause = FIRST_PAUSE;
  #again = 0; // milliseconds of the page's clock
  #ahead = null; // the frame after which frames are decoded and fetched ahead
  #abort = new AbortController();

  /** `batch` frames are asked for at a time; `missed(frames)` hears of all that can never be shown, whenever one more is known. */
  constructor(address, { version, count, batch, missed = () => {} }) {
    this.address = address;
    this.batch = batch;
    this.version = version;
    this.count = count;
    this.missed = missed;
    this.isUnattended = false; // asking again and again keeps no session alive
  }

  /** The decoded frame if it is there now; counts as a use of it. */
  get(number) {
    const bitmap = this.#bitmaps.get(number);
    if (bitmap) {
      this.#bitmaps.delete(number);
      this.#bitmaps.set(number, bitmap);
    }
    return bitmap;
  }

  /** Whether it is known that a frame can never be shown. */
  isBroken(number) {
    return this.#broken.has(number);
  }

  /** Why a frame can never be shown; null where that is not known, and of any other frame. */
  why(number) {
    return this.#broken.get(number) ?? null;
  }

  /** The first frame that can be shown, from one on and round; raises why that one cannot where none can. */
  async find(start) {
    for (let step = 0; step < this.count; step += 1) {
      const number = ((start - 1 + step) % this.count) + 1;
      if (await this.load(number)) return number;
    }
    await this.explain(start);
    throw new Error(this.why(start));
  }

  /** Has a frame, or why it can never be shown. */
  async explain(number) {
    if ((await this.load(number)) || this.why(number) !== null) return;
    const picture = await this.#alone(number);
    if (!picture) return;
    this.#broken.delete(number); // the service has it by now
    await this.#keep(number, picture);
    this.missed(this.#allBroken());
  }

  #allBroken() {
    return [...this.#broken.keys()].sort((one, other) => one - other);
  }

  #miss(number, why) {
    this.#broken.set(number, why);
    if (!this.#abort.signal.aborted) this.missed(this.#allBroken());
  }

  /** The decoded frame, fetched where it is missing; nothing of one that can never be shown. Raises why it did not come. */
  async load(number) {
    const there = this.get(number);
    if (there || this.#broken.has(number)) return there;
    let decoding = this.#decoding.get(number);
    if (!decoding) {
      decoding = this.#decode(number).finally(() => this.#decoding.delete(number));
      decoding.then(() => this.#failed.delete(number), () => this.#failed.add(number));
      this.#decoding.set(number, decoding);
    }
    return decoding;
  }

  /** Decode what comes after a frame, and fetch what comes after that. */
  prefetch(number) {
    this.#ahead = number;
    this.#decodeAhead();
    this.#fetchAhead();
  }

  #fetchAhead() {
    if (this.#ahead === null || this.#abort.signal.aborted || performance.now() < this.#again) return;
    const here = this.#indexOf(this.#ahead);
    const batches = Math.ceil(this.count / this.batch);
    for (let step = 0; step < batches && !this.#isFull(); step += 1) this.#batch((here + step) % batches, false);
  }

  /** What was asked for counts as much as what has come, at the size of that; until something has come, a few are enough. */
  #isFull() {
    const asked = this.#batches.size - this.#arrived;
    return this.#arrived ? this.#bytes + (asked * this.#bytes) / this.#arrived >= COMPRESSED_BYTES : asked >= IN_FLIGHT;
  }

  #decodeAhead() {
    const ahead = Math.min(AHEAD, this.count, Math.floor(this.#capacity() / 2));
    if (performance.now() < this.#again) return;
    for (let step = 1; step < ahead && this.#decoding.size < AT_ONCE; step += 1) {
      const next = ((this.#ahead - 1 + step) % this.count) + 1;
      if (this.#bitmaps.has(next) || this.#decoding.has(next) || this.#failed.has(next) || this.#broken.has(next)) continue;
      this.load(next).then(() => this.#decodeAhead(), () => {});
    }
  }

  close() {
    this.#abort.abort();
    for (const bitmap of this.#bitmaps.values()) bitmap.close();
    this.#bitmaps.clear();
    this.#batches.clear();
  }

  #indexOf(number) {
    return Math.floor((number - 1) / this.batch);
  }

  async #decode(number) {
    const index = this.#indexOf(number);
    let picture = await this.#batch(index, true).picture(number - 1 - index * this.batch);
    if (picture === undefined) picture = await this.#alone(number);
    return picture ? this.#keep(number, picture) : undefined;
  }

  async #keep(number, picture) {
    // A millisecond each: made one by one here, not in a burst when the batch comes, which would hold up what is playing.
    const blob = new Blob([picture], { type: "image/jpeg" });
    const bitmap = await createImageBitmap(blob, AS_STORED).catch(() => null);
    if (!bitmap) return this.#miss(number, say("Frame {number} cannot be decoded.", { number }));
    if (this.#abort.signal.aborted) {
      bitmap.close();
      this.#abort.signal.throwIfAborted();
    }
    this.#bitmaps.set(number, bitmap);
    this.#frameBytes = bitmap.width * bitmap.height * 4;
    while (this.#bitmaps.size > this.#capacity()) {
      const [oldest, unused] = this.#bitmaps.entries().next().value;
      this.#bitmaps.delete(oldest);
      unused.close();
    }
    return bitmap;
  }

  #frameBytes = 640 * 480 * 4;

  #capacity() {
    return Math.max(24, Math.floor(DECODED_BYTES / this.#frameBytes));
  }

  /** What is wanted now goes before what is only fetched ahead. */
  #batch(index, isUrgent) {
    const known = this.#batches.get(index);
    if (known) {
      const queued = isUrgent && this.#waiting.find((job) => job.index === index);
      if (queued) this.#waiting.unshift(...this.#waiting.splice(this.#waiting.indexOf(queued), 1));
      return known;
    }
    const batch = new Batch(Math.min(this.batch, this.count - index * this.batch));
    this.#batches.set(index, batch);
    if (isUrgent) this.#waiting.unshift({ index, batch });
    else this.#waiting.push({ index, batch });
    this.#next();
    return batch;
  }

  #next() {
    while (this.#inFlight < IN_FLIGHT && this.#waiting.length) {
      const { index, batch } = this.#waiting.shift();
      this.#inFlight += 1;
      this.#fetch(index, batch)
        .catch((error) => {
          this.#batches.delete(index); // so that it is asked for again
          this.#again = performance.now() + this.#pause;
          this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
          batch.fail(error);
        })
        .finally(() => {
          this.#inFlight -= 1;
          this.#next();
        });
    }
  }

  /** A frame that its batch lacks; null of one that can never be shown, of which the service says why. */
  async #alone(number) {
    const address = `${this.address}/frames/${number}.jpg?v=${encodeURIComponent(this.version)}`;
    const answer = await this.#asked(address).catch((error) => {
      if (error.name === "AbortError") throw error;
      const why = say("Frame {number} cannot be shown: {why}", { number, why: error.message });
      if (error.status !== REFUSED) throw new Error(why);
      this.#miss(number, why);
    });
    return answer ? answer.arrayBuffer() : null;
  }

  #asked(address) {
    return asked(address, { signal: this.#abort.signal, headers: this.isUnattended ? UNATTENDED : {} });
  }

  async #fetch(index, batch) {
    const first = index * this.batch + 1;
    const last = first + batch.count - 1;
    const address = `${this.address}/frames/${first}-${last}?v=${encodeURIComponent(this.version)}`;
    const answer = await this.#asked(address);
    this.#bytes += await batch.fill(answer.body, (place) => this.#miss(first + place, null));
    this.#arrived += 1;
    this.#pause = FIRST_PAUSE;
    this.#fetchAhead();
  }
}
