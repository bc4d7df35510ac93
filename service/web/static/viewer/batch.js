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

  /** A promise of the bytes of one, from 0 on; of nothing where the answer ended before it. */
  async picture(place) {
    return this.#places[place]?.promise;
  }

  /** Reads the body of an answer; gives its length in bytes. */
  async fill(body) {
    let [filled, total, rest] = [0, 0, new Uint8Array(0)];
    for await (const piece of pieces(body)) {
      total += piece.length;
      rest = joined(rest, piece);
      for (let end = endOfFirst(rest); end <= rest.length; end = endOfFirst(rest)) {
        this.#places[filled]?.resolve(rest.slice(LENGTH, end));
        filled += 1;
        rest = rest.subarray(end);
      }
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

function endOfFirst(bytes) {
  if (bytes.length < LENGTH) return Infinity;
  return LENGTH + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

function joined(one, other) {
  if (!one.length) return other;
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
