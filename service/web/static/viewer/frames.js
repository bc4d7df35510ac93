// The frames of one cine: fetched several at a time, kept compressed, decoded ahead of where they are shown.

import { say } from "../words.js";
import { asked } from "./asked.js";

const AS_STORED = { imageOrientation: "none", colorSpaceConversion: "none", premultiplyAlpha: "none" };
const IN_FLIGHT = 3;
const DECODED_BYTES = 192 << 20;
const COMPRESSED_BYTES = 192 << 20;
const AHEAD = 32;
const AT_ONCE = 4; // frames that are decoded ahead beside each other, so that the one that is wanted does not wait behind them

export class Frames {
  #chunks = new Map(); // index -> promise of pictures, or pictures
  #bytes = 0; // of the batches that are there
  #arrived = 0; // how many these are
  #bitmaps = new Map(); // frame -> ImageBitmap, the least recently used first
  #decoding = new Map();
  #waiting = [];
  #inFlight = 0;
  #ahead = null; // the frame after which frames are decoded and fetched ahead
  #abort = new AbortController();

  /** `batch` frames are asked for at a time. */
  constructor(address, { version, count, batch }) {
    this.address = address;
    this.batch = batch;
    this.version = version;
    this.count = count;
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

  /** The decoded frame, fetched where it is missing. */
  async load(number) {
    const there = this.get(number);
    if (there) return there;
    let decoding = this.#decoding.get(number);
    if (!decoding) {
      decoding = this.#decode(number).finally(() => this.#decoding.delete(number));
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
    if (this.#ahead === null || this.#abort.signal.aborted) return;
    const here = this.#indexOf(this.#ahead);
    const chunks = Math.ceil(this.count / this.batch);
    for (let step = 0; step < chunks && !this.#isFull(); step += 1) this.#chunk((here + step) % chunks, false);
  }

  /** What was asked for counts as much as what has come, at the size of that; until something has come, a few are enough. */
  #isFull() {
    const asked = this.#chunks.size - this.#arrived;
    return this.#arrived ? this.#bytes + (asked * this.#bytes) / this.#arrived >= COMPRESSED_BYTES : asked >= IN_FLIGHT;
  }

  #decodeAhead() {
    const ahead = Math.min(AHEAD, this.count, Math.floor(this.#capacity() / 2));
    for (let step = 1; step < ahead && this.#decoding.size < AT_ONCE; step += 1) {
      const next = ((this.#ahead - 1 + step) % this.count) + 1;
      if (!this.#bitmaps.has(next) && !this.#decoding.has(next)) this.load(next).then(() => this.#decodeAhead(), () => {});
    }
  }

  close() {
    this.#abort.abort();
    for (const bitmap of this.#bitmaps.values()) bitmap.close();
    this.#bitmaps.clear();
    this.#chunks.clear();
  }

  #indexOf(number) {
    return Math.floor((number - 1) / this.batch);
  }

  async #decode(number) {
    const index = this.#indexOf(number);
    const pictures = await this.#chunk(index, true);
    const picture = pictures[number - 1 - index * this.batch];
    if (!picture) throw new Error(say("The service sent no frame {number}.", { number }));
    // A millisecond each: made one by one here, not in a burst when the batch comes, which would hold up what is playing.
    const blob = new Blob([picture], { type: "image/jpeg" });
    const bitmap = await createImageBitmap(blob, AS_STORED).catch(() => {
      throw new Error(say("Frame {number} cannot be decoded.", { number }));
    });
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
  #chunk(index, isUrgent) {
    const known = this.#chunks.get(index);
    if (known) {
      const queued = isUrgent && this.#waiting.find((job) => job.index === index);
      if (queued) this.#waiting.unshift(...this.#waiting.splice(this.#waiting.indexOf(queued), 1));
      return known;
    }
    const made = new Promise((resolve, reject) => {
      const job = { index, resolve, reject };
      if (isUrgent) this.#waiting.unshift(job);
      else this.#waiting.push(job);
    });
    made.catch(() => this.#chunks.delete(index));
    this.#chunks.set(index, made);
    this.#next();
    return made;
  }

  #next() {
    while (this.#inFlight < IN_FLIGHT && this.#waiting.length) {
      const job = this.#waiting.shift();
      this.#inFlight += 1;
      this.#fetch(job.index)
        .then(job.resolve, job.reject)
        .finally(() => {
          this.#inFlight -= 1;
          this.#next();
        });
    }
  }

  async #fetch(index) {
    const first = index * this.batch + 1;
    const last = Math.min(first + this.batch - 1, this.count);
    const address = `${this.address}/frames/${first}-${last}?v=${encodeURIComponent(this.version)}`;
    const answer = await asked(address, { signal: this.#abort.signal });
    const content = await answer.arrayBuffer();
    this.#bytes += content.byteLength;
    this.#arrived += 1;
    this.#fetchAhead();
    return pictures(content);
  }
}

/** Each picture has its length before it, in four bytes. */
function pictures(content) {
  const view = new DataView(content);
  const found = [];
  for (let at = 0; at + 4 <= content.byteLength; ) {
    const length = view.getUint32(at);
    found.push(new Uint8Array(content, at + 4, length));
    at += 4 + length;
  }
  return found;
}
