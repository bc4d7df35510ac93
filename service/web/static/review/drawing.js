// Lines that a person draws in the picture: which cine is drawn in, what was drawn and not kept, and what would follow from it.
// The viewer is told by `sonomyo:edit-lines` and `sonomyo:own-lines`, and tells by `sonomyo:lines`.

import { say } from "../words.js";
import { newestOnly } from "./newest.js";
import { isTyped, keepFields } from "./typed.js";
import { put } from "./unsaved.js";
import { tell } from "./viewer.js";

export class Drawing {
  #content;
  #kept;
  #preview;
  #reveal;
  #changed;
  #now = null; // the cine that is drawn in; as `detail` what is not kept, `told` of it in words, and why its numbers were `refused`

  /**
   * `kept()` gives the lines that are kept and not saved, by cine; `preview(lines)` in words what the report would say with some;
   * `reveal(form, opener)` shows a form, and `changed(form)` hears that something was drawn for it.
   */
  constructor(content, { kept, preview, reveal, changed }) {
    this.#content = content;
    this.#kept = kept;
    this.#preview = preview;
    this.#reveal = reveal;
    this.#changed = changed;
    document.addEventListener("sonomyo:lines", ({ detail }) => this.#now?.uid === detail.sop_instance_uid && this.#drawn(detail));
  }

  get uid() {
    return this.#now?.uid ?? null;
  }

  /** What was drawn and not kept. */
  get detail() {
    return this.#now?.detail ?? null;
  }

  /** What was drawn last in the cine that is drawn in, kept or not. */
  get last() {
    return this.detail ?? this.#kept().get(this.uid);
  }

  /** Whether a form is that of the cine that is drawn in. */
  isOf(form) {
    return form.dataset.form === "lines" && this.uid === form.dataset.uid;
  }

  /** Whether a form's lines were drawn and not kept. */
  isUnkept(form) {
    return this.isOf(form) && this.detail !== null;
  }

  formOf(uid) {
    return this.#content.querySelector(`form[data-form=lines][data-uid="${CSS.escape(uid)}"]`);
  }

  start(button) {
    this.stop(); // in another cine
    this.#now = { uid: button.dataset.draw, detail: null, told: "", refused: "" };
    this.#show(button).scrollIntoView({ block: "nearest" });
    this.#tellViewer({ takes_focus: true });
  }

  /** Over another version: the picture keeps the handles of lines that were moved. */
  goOn() {
    const { detail, uid } = this.#now;
    this.#now.detail = detail && { ...detail }; // what is still answered is about the version before
    this.#show(this.#content.querySelector(`[data-draw="${CSS.escape(uid)}"]`));
    if (!detail) this.#tellViewer({ takes_focus: false }); // from the lines of this version
  }

  /** Gives what was drawn and not kept, in words. */
  stop() {
    if (!this.#now) return [];
    this.#now.button.setAttribute("aria-pressed", "false");
    tell("sonomyo:edit-lines", { on: false }); // a handle that is held is let go, which is heard here
    const told = this.#now.detail ? [this.#now.told] : [];
    this.#now = null;
    this.tellOwn();
    return told;
  }

  /** What was drawn for a form is kept, or discarded: all, or `lines` if they are still the last. */
  settle(form, lines = this.detail) {
    if (this.isOf(form) && this.detail === lines) this.#now.detail = null;
  }

  /** Of each cine the lines that are kept and not saved, and before them those that are being drawn. */
  tellOwn() {
    const kept = [...this.#kept().values()].map((lines) => ({ ...lines, is_kept: true }));
    const drawn = this.detail ? [{ ...this.detail, is_kept: false }] : [];
    tell("sonomyo:own-lines", { lines: [...drawn, ...kept] });
  }

  #show(button) {
    const form = this.formOf(this.uid);
    this.#now.button = button;
    button.setAttribute("aria-pressed", "true");
    const kept = this.#kept().get(this.uid);
    if (kept && !isTyped(form)) {
      form.elements.why.value = kept.why;
      keepFields(form);
    }
    this.#reveal(form, button);
    form.querySelector("[data-drawn]").textContent = this.detail ? toldFrame(this.detail) : say("No line was moved yet.");
    if (this.last) this.#tellNumbers(this.last);
    return form;
  }

  #drawn(detail) {
    const form = this.formOf(this.uid);
    if (!this.detail) form.querySelector("[data-drawn]").textContent = toldFrame(detail);
    Object.assign(this.#now, { detail, told: toldFrame(detail) });
    this.#changed(form);
    this.tellOwn();
    this.#tellNumbers(detail);
  }

  /** What the report would say with the lines that were drawn last. */
  #tellNumbers = newestOnly(async (lines) => {
    const place = (name) => this.formOf(lines.sop_instance_uid).querySelector(`[data-${name}]`);
    let problem = "";
    let told = "";
    try {
      told = say("Frame {frame}: {numbers}.", { frame: lines.frame, numbers: await this.#preview(lines) });
    } catch (error) {
      problem = error.message;
    }
    if (this.last !== lines) return;
    if (told) place("drawn").textContent = told;
    if (told) this.#now.told = `${say("Lines")}: ${told}`;
    if (problem || place("problem").textContent === this.#now.refused) put(place("problem"), problem); // a reminder stays
    this.#now.refused = problem;
  });

  #tellViewer({ takes_focus }) {
    tell("sonomyo:edit-lines", { on: true, sop_instance_uid: this.uid, takes_focus });
  }
}

function toldFrame({ frame }) {
  return say("Lines drawn in frame {frame}.", { frame });
}
