// Lines that a person drew and that no version has yet: the panel tells of them, the picture shows them.

export class OwnLines {
  #pairs = [];

  /** `lines` as the panel has them: of a cine the pair that is being drawn, and the one that only waits to be saved, which `is_kept`. */
  take(lines) {
    this.#pairs = lines;
  }

  /** The pair of a cine that was drawn last. */
  of(uid) {
    return this.#pairs.find((one) => one.sop_instance_uid === uid);
  }

  /** As the overlays have lines; null in a frame in which the person drew none. */
  in(uid, frame) {
    const own = this.#pairs.find((one) => one.sop_instance_uid === uid && one.frame === frame);
    if (!own) return null;
    const told = { is_amended: true, is_being_drawn: !own.is_kept };
    return ["superficial", "deep"].map((name) => ({ label: `${name}_aponeurosis`, points: own[name], ...told }));
  }

  /** The frame in which lines are drawn that would be lost by drawing in `frame`; null where none would. */
  elsewhere(uid, frame) {
    const own = this.of(uid);
    return own && !own.is_kept && own.frame !== frame ? own.frame : null;
  }
}
