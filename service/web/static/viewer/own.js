// Lines that a person drew and that no version has yet: the panel tells of them, the picture shows them.

export class OwnLines {
  #ofCines = new Map();

  /** `lines` as the panel has them, one pair for a cine; `is_kept` of those that only wait to be saved. */
  take(lines) {
    this.#ofCines = new Map(lines.map((one) => [one.sop_instance_uid, one]));
  }

  of(uid) {
    return this.#ofCines.get(uid);
  }

  /** As the overlays have lines; null in a frame in which the person drew none. */
  in(uid, frame) {
    const own = this.#ofCines.get(uid);
    if (own?.frame !== frame) return null;
    return ["superficial", "deep"].map((name) => ({ label: `${name}_aponeurosis`, points: own[name], is_amended: true }));
  }

  /** The frame in which lines are drawn that would be lost by drawing in `frame`; null where none would. */
  elsewhere(uid, frame) {
    const own = this.#ofCines.get(uid);
    return own && !own.is_kept && own.frame !== frame ? own.frame : null;
  }
}
