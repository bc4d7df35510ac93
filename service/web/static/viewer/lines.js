// The aponeurosis lines of a frame, moved by hand.

import { say } from "../words.js";
import { drawDot } from "./measure.js";

const REACH = 12; // pixels of the screen around a handle

/** The aponeurosis lines of a frame with handles: a handle that is dragged takes its neighbours along. */
export class LineEditor {
  #stage;
  #changed;
  #said;
  #held = null; // [line, place]
  #chosen = [0, 0];

  constructor(stage, { changed, said }) {
    this.#stage = stage;
    this.#changed = changed;
    this.#said = said;
    this.isOn = false;
    this.isCarrying = false; // the chosen handle goes where the next click is
    this.frame = 0;
    this.lines = null; // of the frame: [{label, points, is_amended, is_being_drawn}]
    this.told = ""; // what can be done in the frame
    stage.addPainter((context, frame, unit) => this.#paint(context, frame, unit));
  }

  /** `lines` are null where they did not come: nothing begins, then. `elsewhere`: another frame in which the person has drawn; until that is kept, nothing is moved in this one. */
  begin(frame, lines, elsewhere = null) {
    const wanted = ["superficial_aponeurosis", "deep_aponeurosis"].map((label) => lines?.find((line) => line.label === label));
    this.isOn = wanted.every(Boolean) && !elsewhere;
    this.isCarrying = false;
    this.frame = lines ? frame : 0;
    this.lines = this.isOn ? wanted.map((line) => ({ ...line, is_being_drawn: true, points: line.points.map((point) => [...point]) })) : null;
    this.told = this.#toldOf(lines, elsewhere);
    this.#said(this.told);
    this.#stage.view.dataset.edits = this.isOn ? "lines" : "";
    this.#stage.paint();
    return this.isOn;
  }

  #toldOf(lines, elsewhere) {
    if (this.isOn) return say("Drag a handle of an aponeurosis, or click it and then its new place; or choose one with comma and full stop and move it with the arrow keys.");
    if (elsewhere) return say("Your lines lie in frame {frame}: keep or discard them before you draw in another one.", { frame: elsewhere });
    if (!lines) return say("The lines of this frame have not come yet: they can be moved as soon as they are there.");
    return say("Neither line can be moved on this frame: nothing was measured in it. Go to a frame with both aponeuroses.");
  }

  /** What is held is let go where it is. */
  end() {
    this.drop();
    this.isCarrying = false;
    this.isOn = false;
    this.frame = 0;
    this.lines = null;
    this.#stage.view.dataset.edits = "";
    this.#stage.paint();
  }

  grab(point, unit) {
    if (!this.isOn) return false;
    let nearest = REACH * unit;
    this.lines.forEach((line, which) =>
      line.points.forEach((handle, place) => {
        const away = Math.hypot(handle[0] - point[0], handle[1] - point[1]);
        if (away <= nearest) {
          nearest = away;
          this.#held = this.#chosen = [which, place];
        }
      }),
    );
    return this.#held !== null;
  }

  drag([x, y]) {
    if (!this.#held) return;
    const [which, place] = this.#held;
    const [from, to] = this.lines[which].points[place];
    this.#move(x - from, y - to);
  }

  drop() {
    if (this.#held) this.#changed(this.lines);
    this.#held = null;
  }

  /** A handle that was grabbed stays as it was. */
  leave() {
    this.#held = null;
  }

  /** A handle that was clicked and not dragged waits for the click that says where it goes. */
  carry() {
    this.#held = null;
    this.isCarrying = true;
    this.#said(say("The handle is chosen: click its new place, or let it go with Escape."));
    this.#stage.paint();
  }

  put(point) {
    this.isCarrying = false;
    this.#held = this.#chosen;
    this.drag(point);
    this.drop();
  }

  /** True where one was carried. */
  letGo() {
    const wasCarrying = this.isCarrying;
    this.isCarrying = false;
    if (wasCarrying) this.#stage.paint();
    return wasCarrying;
  }

  choose(by) {
    const places = this.lines.flatMap((line, which) => line.points.map((_, place) => [which, place]));
    const here = places.findIndex(([which, place]) => which === this.#chosen[0] && place === this.#chosen[1]);
    this.#chosen = places[(here + by + places.length) % places.length];
    const number = this.#chosen[1] + 1;
    this.#said(
      this.#chosen[0] ? say("Deep aponeurosis, handle {number}.", { number }) : say("Superficial aponeurosis, handle {number}.", { number }),
    );
    this.#stage.paint();
  }

  nudge(right, down) {
    this.#move(right, down);
    this.#changed(this.lines);
  }

  #move(right, down) {
    const [which, place] = this.#chosen;
    for (const line of this.lines) line.is_amended = true; // both become the person's
    this.lines[which].points.forEach((point, other) => {
      const share = Math.exp(-((other - place) ** 2) / 2);
      point[0] += other === place ? right : 0;
      point[1] += down * share;
    });
    this.#stage.paint();
  }

  #paint(context, frame, unit) {
    if (!this.isOn || frame !== this.frame) return;
    this.lines.forEach((line, which) =>
      line.points.forEach((point, place) => {
        const isChosen = which === this.#chosen[0] && place === this.#chosen[1];
        drawDot(context, point, isChosen ? 1.6 * unit : unit, isChosen ? "#ffd479" : "#ffffff", isChosen && this.isCarrying ? 7 : 5);
      }),
    );
  }
}
