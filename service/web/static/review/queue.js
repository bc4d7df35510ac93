// What is pressed is done one after the other, each once however often it was pressed.

import { say } from "../words.js";
import { stillHere } from "./focus.js";
import { put } from "./unsaved.js";

export class Queue {
  #panel;
  #notDone;
  #meet;
  #running = Promise.resolve();
  #underway = new Map(); // what was pressed and is not done yet -> the promise of it, and whether the person is still there
  #failures = 0;

  /** `meet(current, isStillHere)` tells what to do where somebody else saved `current` meanwhile, and gives what is said of it at the place. */
  constructor(panel, meet) {
    this.#panel = panel;
    this.#notDone = panel.querySelector("[data-not-done]");
    this.#notDone.querySelector("button").addEventListener("click", () => {
      this.#tell("");
      panel.querySelector("#review-title")?.focus();
    });
    this.#meet = meet;
  }

  /** Settles once all that was pressed until now is done. */
  get idle() {
    return this.#running;
  }

  has(pressed) {
    return this.#underway.has(pressed);
  }

  /**
   * Do what was `pressed` after what is under way, `deed(isStillHere)`; what is refused is said at `place`. True when it was done, and not overtaken. It
   * was meant for the version that was shown, and for what was pressed before it to be done: over another version, or after
   * something that failed, it is not done, and that is said.
   */
  act(pressed, place, deed, { isAfterFailures = false } = {}) {
    const press = this.#underway.get(pressed) ?? {};
    press.isStillHere = stillHere();
    if (press.promise) return press.promise;
    const [seen, before, isStillHere] = [this.#panel.dataset.report, this.#failures, () => press.isStillHere()];
    const turn = () => {
      if (this.#panel.dataset.report !== seen) return this.#leftOut(this.#toldOtherVersion());
      if (this.#failures !== before && !isAfterFailures) return this.#leftOut(say("What you pressed first could not be done, so what you pressed after it was not done either."));
      return this.#done(place, deed, isStillHere);
    };
    this.#running = this.#running.then(turn).finally(() => this.#underway.delete(pressed));
    press.promise = this.#running;
    this.#underway.set(pressed, press);
    return this.#running;
  }

  /** What was pressed could not be done, and what waits behind it will not be. */
  refuse() {
    this.#failures += 1;
    return false;
  }

  async #done(place, deed, isStillHere) {
    this.#panel.ariaBusy = "true";
    this.#tell("");
    put(place, "");
    try {
      return (await deed(isStillHere)) !== false;
    } catch (error) {
      this.refuse(); // what is pressed from now on was pressed after it
      const isConflict = error.status === 412 && error.problem.current;
      const problem = isConflict ? await this.#meet(error.problem.current, isStillHere).catch((other) => other) : error;
      put(place, problem?.message ?? "");
      return false;
    } finally {
      this.#panel.ariaBusy = "false";
    }
  }

  #leftOut(why) {
    this.#tell(why);
    return false;
  }

  #tell(words) {
    this.#notDone.hidden = !words;
    this.#notDone.querySelector("[data-why]").textContent = words;
  }

  #toldOtherVersion() {
    const version = this.#panel.dataset.number;
    return say("Version {version} is shown now. What you pressed before it came was not done: press again where it still holds.", { version });
  }
}
