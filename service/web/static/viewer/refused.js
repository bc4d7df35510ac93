// What did not come: why, and when it may be asked for again. Each time that takes twice as long.

const [FIRST_PAUSE, LONGEST_PAUSE] = [2000, 60_000];

export class Refused {
  #told = new Map(); // by what was asked for: {why, pause, until}

  /** Gives the milliseconds after which it may be asked for again. */
  add(key, why) {
    const pause = Math.min(2 * (this.#told.get(key)?.pause ?? FIRST_PAUSE / 2), LONGEST_PAUSE);
    this.#told.set(key, { why, pause, until: performance.now() + pause });
    return pause;
  }

  delete(key) {
    this.#told.delete(key);
  }

  has(key) {
    return this.#told.has(key);
  }

  /** Null of what was not refused. */
  why(key) {
    return this.#told.get(key)?.why ?? null;
  }

  isPausing(key) {
    return performance.now() < (this.#told.get(key)?.until ?? 0);
  }

  /** Everything may be asked for again now. */
  endPauses() {
    for (const told of this.#told.values()) told.until = 0;
  }
}
