// What a person has changed and not saved yet. It belongs to the person, not to a version: it outlives a conflict.

import { decimal, say } from "../words.js";

const LONGEST_REASON = 500;
/** Reasons that nobody typed, as they are stored. */
const REVIEWED = "findings reviewed";
const RESTORED = "what the software had said was restored";

export class Pending {
  /** Changes by finding: what the service takes as `findings`, each with its reason. */
  changes = new Map();
  /** Drawn lines by the cine. */
  lines = new Map();
  /** `impression` and `comment`, those that were written, and `why`. */
  words = null;

  copy() {
    const made = new Pending();
    made.changes = new Map(this.changes);
    made.lines = new Map(this.lines);
    made.words = this.words && { ...this.words };
    return made;
  }

  get count() {
    return this.changes.size + this.lines.size + (this.words ? 1 : 0);
  }

  /** As PATCH takes it. */
  body() {
    const { why: _, ...words } = this.words ?? {};
    return {
      why: this.#reason(),
      findings: [...this.changes.values()],
      lines: [...this.lines.values()],
      ...words,
    };
  }

  /** Only what a version has a place for. Gives what was left behind. */
  keepOnly({ findings, cines, hasWords }) {
    const left = new Pending();
    left.changes = without(this.changes, findings);
    left.lines = without(this.lines, cines);
    if (!hasWords) [left.words, this.words] = [this.words, null];
    return left;
  }

  /** Of the version as a whole: all reasons; what is accepted or restored needs none. */
  #reason() {
    const all = [...this.changes.values(), ...this.lines.values(), this.words].map((one) => one?.why).filter(Boolean);
    const reasons = [...new Set(all)].join("; ");
    if (reasons) return reasons.slice(0, LONGEST_REASON);
    const isAccepted = [...this.changes.values()].some(({ action }) => action === "accept");
    return isAccepted ? REVIEWED : RESTORED;
  }
}

/** Take out of a map what has other keys than these. */
function without(map, keys) {
  const left = new Map([...map].filter(([key]) => !keys.has(key)));
  left.forEach((_, key) => map.delete(key));
  return left;
}

/** Why somebody made a version: one of the panel's own reasons in the page's language, or what was typed as it was typed. */
export function toldReason(why) {
  if (why === REVIEWED) return say("findings reviewed");
  return why === RESTORED ? say("what the software had said was restored") : why;
}

/** A number as the service writes it, with the decimals of its unit. */
export function written(value, { digits = "", symbol = "" } = {}) {
  if (typeof value !== "number") return String(value ?? "");
  const text = digits === "" ? String(Number(value.toPrecision(3))) : value.toFixed(Number(digits));
  return decimal(Number(text) === 0 ? text.replace("-", "") : text) + symbol;
}

/** What a field holds: a number where one is wanted and it is one; else the text, of which the service says what is wrong. */
export function entered(text, isNumber) {
  const tidy = text.trim();
  const number = Number(tidy.replace(",", ".").replace("\u2212", "-"));
  return isNumber && tidy && Number.isFinite(number) ? number : tidy;
}
