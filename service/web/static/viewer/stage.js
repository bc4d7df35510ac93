// The picture: a frame and what is drawn over it, in one go, so that neither is ever seen without the other; zoom, pan, window.

export class Stage {
  #frameContext;
  #overContext;
  #painters = [];

  /** `view` holds `picture` (a canvas in pixels of the stored frame) under `over` (one in pixels of the screen). */
  constructor({ view, picture, over, window: [slopes, label] }) {
    this.view = view;
    this.picture = picture;
    this.over = over;
    this.slopes = slopes;
    this.label = label;
    this.#frameContext = picture.getContext("2d", { alpha: false });
    this.#overContext = over.getContext("2d");
    this.columns = this.rows = this.ratio = 1; // `ratio`: pixels of the upper canvas to one of the page
    this.frame = 0;
    this.scale = 1;
    this.x = this.y = 0;
    this.isFitted = true;
    this.level = 128;
    this.width = 256;
    new ResizeObserver(() => this.#resize()).observe(view);
  }

  /** What draws over the picture: called with a context in pixels of the stored frame, the frame's number and a screen pixel. */
  addPainter(painter) {
    this.#painters.push(painter);
  }

  setCine({ rows, columns }) {
    [this.rows, this.columns, this.frame] = [rows, columns, 0];
    [this.picture.width, this.picture.height] = [columns, rows];
    this.fit();
  }

  /** A frame's picture; without one neither a picture nor anything over it. */
  show(frame, bitmap) {
    this.frame = bitmap ? frame : 0;
    if (bitmap) this.#frameContext.drawImage(bitmap, 0, 0);
    else this.#frameContext.clearRect(0, 0, this.columns, this.rows);
    this.paint();
  }

  /** Only what lies over the picture. */
  paint() {
    const context = this.#overContext;
    const ratio = this.ratio; // asking the view for its width would lay the page out for each frame
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.over.width, this.over.height);
    if (!this.frame) return;
    context.setTransform(ratio * this.scale, 0, 0, ratio * this.scale, ratio * this.x, ratio * this.y);
    for (const painter of this.#painters) painter(context, this.frame, 1 / this.scale);
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.view;
    this.isFitted = true;
    this.scale = Math.max(Math.min(width / this.columns, height / this.rows), 0.01);
    this.x = (width - this.columns * this.scale) / 2;
    this.y = (height - this.rows * this.scale) / 2;
    this.#place();
  }

  /** Larger by a factor around a point of the view, its middle without one. */
  zoom(factor, x = this.view.clientWidth / 2, y = this.view.clientHeight / 2) {
    const scale = Math.min(Math.max(this.scale * factor, 0.1), 40);
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.isFitted = false;
    this.#place();
  }

  pan(right, down) {
    const margin = 40;
    this.x = Math.min(Math.max(this.x + right, margin - this.columns * this.scale), this.view.clientWidth - margin);
    this.y = Math.min(Math.max(this.y + down, margin - this.rows * this.scale), this.view.clientHeight - margin);
    this.isFitted = false;
    this.#place();
  }

  /** A point of the view goes to its middle. */
  centre(x, y) {
    this.pan(this.view.clientWidth / 2 - x, this.view.clientHeight / 2 - y);
  }

  /** Level and width in grey values of the shown picture, 0 to 255 (PS3.3 C.11.2.1.2, linear exact). */
  setWindow(level, width) {
    this.level = Math.min(Math.max(level, 0), 255);
    this.width = Math.min(Math.max(width, 2), 512);
    const isPlain = this.level === 128 && this.width === 256;
    for (const slope of this.slopes) {
      slope.setAttribute("slope", 255 / this.width);
      slope.setAttribute("intercept", 0.5 - this.level / this.width);
    }
    this.picture.style.filter = isPlain ? "" : "url(#window)";
    this.label(this.level, this.width, isPlain);
  }

  /** A point of the view as (column, row), the first pixel's centre at 0. */
  toFrame(x, y) {
    return [(x - this.x) / this.scale - 0.5, (y - this.y) / this.scale - 0.5];
  }

  #resize() {
    const ratio = window.devicePixelRatio || 1;
    this.over.width = Math.round(this.view.clientWidth * ratio);
    this.over.height = Math.round(this.view.clientHeight * ratio);
    this.ratio = this.over.width / Math.max(this.view.clientWidth, 1);
    if (this.isFitted) this.fit();
    else this.#place();
  }

  #place() {
    this.picture.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.picture.style.imageRendering = this.scale > 4 ? "pixelated" : "auto";
    this.paint();
  }
}
