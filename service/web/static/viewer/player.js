// When which frame is shown: the cine's own time axis against the clock of the screen.

const NO_TIME_RATE = 25; // frames a second of a cine without a time axis

export class Player {
  /**
   * `show(frame)` shows a frame that is ready; `isReady(frame)` says whether it is; `want(frame)` has it made ready. A frame is
   * ready, too, once it is known that it can never be shown, which `isBroken(frame)` says: playing passes over it in its time.
   * `changed()` hears of every other change: playing, speed, loop; `failed(error, frame)` why a frame did not come.
   */
  constructor({ count, seconds, start = 1, isReady, isBroken = () => false, want, show, changed, failed }) {
    this.count = count;
    this.start = start; // where it is until a frame was gone to
    this.isTimed = seconds !== null && seconds.length === count;
    this.seconds = this.isTimed ? seconds : Array.from({ length: count }, (_, index) => index / NO_TIME_RATE);
    this.isReady = isReady;
    this.isBroken = isBroken;
    this.want = want;
    this.show = show;
    this.changed = changed;
    this.failed = failed;
    this.frame = 0;
    this.speed = 1;
    this.isLooping = true;
    this.range = null; // [first, last] of the part that is looped
    this.isPlaying = false;
    this.isPlayWanted = false; // until the frame that was gone to is shown, from which it plays then
    this.isWaiting = false;
    this.#wanted = 0;
  }

  #wanted;
  #waited = 0; // for which playing waits, or waited last
  #coming = 0; // what was asked for last and is neither there nor refused yet
  #request = 0;
  #media = 0; // seconds on the cine's axis
  #at = null; // milliseconds of the screen's clock that belong to it; null until a picture of the screen is due

  /** Seconds from the first frame to after the last one. */
  get duration() {
    const last = this.seconds[this.count - 1];
    return last + (this.count > 1 ? last / (this.count - 1) : 0);
  }

  get first() {
    return this.range ? this.range[0] : 1;
  }

  get last() {
    return this.range ? this.range[1] : this.count;
  }

  /** The last frame of the part that is played of which it is not known that it can never be shown; the first one at least. */
  get #lastSeen() {
    let last = this.last;
    while (last > this.first && this.isBroken(last)) last -= 1;
    return last;
  }

  /** Go to a frame; it is shown once it is ready, unless another is asked for meanwhile. */
  async seek(frame) {
    const wanted = Math.min(Math.max(Math.round(frame), 1), this.count);
    this.#wanted = wanted;
    if (!this.isReady(wanted)) {
      this.#coming = wanted;
      await this.want(wanted).finally(() => (this.#coming = this.#coming === wanted ? 0 : this.#coming));
    }
    if (this.#wanted !== wanted) return;
    this.#put(wanted);
    this.#begin(wanted);
    if (!this.isPlayWanted) return;
    this.isPlayWanted = false;
    this.play();
  }

  /** Stand still at a frame. */
  go(frame) {
    this.pause();
    return this.#goTo(frame);
  }

  async #goTo(frame) {
    const going = this.seek(frame);
    const wanted = this.#wanted;
    return going.catch((error) => {
      if (wanted !== this.#wanted) return;
      this.pause();
      this.failed(error, wanted);
    });
  }

  step(by) {
    const span = this.count;
    const next = (this.#wanted || this.start) + by;
    return this.go(this.isLooping ? ((((next - 1) % span) + span) % span) + 1 : next);
  }

  toggle() {
    if (this.isPlaying || this.isPlayWanted) this.pause();
    else this.play();
  }

  play() {
    if (this.isPlaying || this.isPlayWanted || this.count < 2) return;
    if (!this.frame || this.awaited !== null) return void this.#playLater();
    this.isPlaying = true;
    const isAtEnd = this.frame >= this.#lastSeen || this.frame < this.first;
    this.#begin(isAtEnd ? this.first : this.frame);
    this.#request = requestAnimationFrame((now) => this.#tick(now));
    this.changed();
  }

  #playLater() {
    this.isPlayWanted = true;
    this.changed();
    if (this.awaited !== null && this.awaited !== this.#coming) this.#goTo(this.awaited); // again, for it failed
  }

  pause() {
    if (!this.isPlaying && !this.isPlayWanted) return;
    this.isPlaying = false;
    this.isPlayWanted = false;
    this.isWaiting = false;
    cancelAnimationFrame(this.#request);
    this.changed();
  }

  setSpeed(speed) {
    this.#begin(this.frame || 1);
    this.speed = speed;
    this.changed();
  }

  setLooping(isLooping) {
    this.isLooping = isLooping;
    this.changed();
  }

  setRange(first, last) {
    this.range = first === 1 && last === this.count ? null : [Math.min(first, last), Math.max(first, last)];
    this.changed();
  }

  /** The frame that was asked for last; 0 before the first. */
  get wanted() {
    return this.#wanted;
  }

  /** The frame that is asked for and not shown yet, or null. */
  get awaited() {
    return this.#wanted === this.frame ? null : this.#wanted;
  }

  #stop(error, frame) {
    this.pause();
    this.#wanted = frame;
    this.failed(error, frame);
  }

  #begin(frame) {
    this.#media = this.seconds[frame - 1];
    this.#at = null;
  }

  #put(frame) {
    this.frame = frame;
    this.#wanted = frame;
    this.show(frame);
  }

  #tick(now) {
    if (!this.isPlaying) return;
    this.#at ??= now; // however late the first one comes, the cine starts where it is
    if (this.isWaiting) this.#at = now; // for the frame at this moment, and no other
    const passed = (Math.max(now - this.#at, 0) / 1000) * this.speed;
    let media = this.#media + passed;
    const end = this.last === this.count ? this.duration : this.seconds[this.last];
    const isOver = media >= end && !this.isLooping;
    if (isOver) {
      media = this.seconds[this.last - 1];
    } else if (media >= end) {
      const start = this.seconds[this.first - 1];
      media = start + ((media - start) % Math.max(end - start, 1e-6));
    }
    const frame = this.#frameAt(media);
    if (frame !== this.frame && !this.isReady(frame)) {
      // The clock stands still meanwhile: nothing is left out, and nothing wrong is shown.
      if (!this.isWaiting) this.want(frame).catch((error) => this.isWaiting && this.#waited === frame && this.#stop(error, frame));
      this.isWaiting = true;
      this.#waited = frame;
      this.#at = now;
      this.#media = this.seconds[frame - 1];
    } else if (this.isBroken(frame) && this.isBroken(this.#lastSeen)) {
      return void this.go(frame); // there is nothing to play
    } else {
      this.isWaiting = false;
      this.#media = media;
      this.#at = now;
      if (frame !== this.frame && !this.isBroken(frame)) this.#put(frame);
      if (isOver) return this.pause();
    }
    this.#request = requestAnimationFrame((later) => this.#tick(later));
  }

  /** The last frame that began before a moment. */
  #frameAt(media) {
    let low = this.first - 1;
    let high = this.last - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.seconds[middle] <= media + 1e-9) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  }
}
