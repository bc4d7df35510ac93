// Pictures that come in one answer, each there for whoever wants it as soon as it has come: the service decodes while it sends.

import { say } from "../words.js";

const LENGTH = 4; // bytes before each picture, most significant first

export class Batch {
  #places;

  constructor(count) {
    this.count = count;
    this.#places = Array.from({ length: count }, () => Promise.withResolvers());
    for (const { promise } of this.#places) promise.catch(() => {}); // told to those who ask for it
  }

  /** A promise of the bytes of one, from 0 on; of null where the service has none, of nothing where the answer ended before it. */
  async picture(place) {
    return this.#places[place]?.promise;
  }

  /** Reads the body of an answer; gives its length in bytes. `missed(place)` hears of each that the service has not. */
  async fill(body, missed = () => {}) {
    let [filled, total, held, size, wanted] = [0, 0, [], 0, LENGTH];
    for await (const piece of pieces(body)) {
      total += piece.length;
      size += piece.length;
      held.push(piece);
      if (size < wanted) continue;
      let bytes = joined(held, size);
      for (wanted = endOfFirst(bytes); wanted <= bytes.length; wanted = endOfFirst(bytes)) {
        if (wanted === LENGTH) missed(filled);
        this.#places[filled]?.resolve(wanted > LENGTH ? bytes.slice(LENGTH, wanted) : null);
        filled += 1;
        bytes = bytes.subarray(wanted);
      }
      [held, size] = [[bytes], bytes.length];
    }
    for (const { resolve } of this.#places.slice(filled)) resolve(undefined);
    return total;
  }

  /** Whoever waits for one that has not come hears why. */
  fail(error) {
    for (const { reject } of this.#places) reject(error);
  }
}

async function* pieces(body) {
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new Error(say("The service could not be reached."));
    });
    if (done) return;
    yield value;
  }
}

/** Where the first picture ends; of less than its length, where that ends. */
function endOfFirst(bytes) {
  if (bytes.length < LENGTH) return LENGTH;
  return LENGTH + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

function joined(held, size) {
  if (held.length === 1) return held[0];
  const all = new Uint8Array(size);
  let at = 0;
  for (const piece of held) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
