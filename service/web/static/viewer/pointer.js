// The pointer on the picture: handles and tools first, then pan with the left, window with the right button; the wheel steps.
// All that is dragged is done by clicks, too (WCAG 2.5.7).

const SLIP = 4; // pixels of the screen that a click may move

/** `isOpen()` says whether a cine is there, `step(by)` goes on by frames, `fit()` shows the whole picture. */
export function point({ view, stage, measures, editor, fit, step, isOpen }) {
  let held = null;
  let pressed = null; // where, in the view
  let panned = null; // up to there
  let [isMoved, isDragged, isRepeated] = [false, false, false]; // by a pixel; further than a click may; the second of a double click
  const place = (event) => {
    const box = view.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const release = () => {
    held = null;
    view.dataset.held = "";
  };
  const measure = (at) => {
    if (isDragged && !measures.isBegun) measures.put(stage.toFrame(...pressed));
    measures.put(at);
  };
  const letGo = (isSecond) => {
    if (isDragged) editor.drop();
    else if (isSecond) editor.leave();
    else editor.carry();
  };
  const pan = ([x, y]) => {
    stage.pan(x - panned[0], y - panned[1]);
    panned = [x, y];
  };
  const isWorking = () => editor.isOn || measures.tool !== null; // a click that misses, or comes twice, leaves the view as it is
  view.addEventListener("pointerdown", (event) => {
    if (!isOpen() || event.target.closest("button")) return; // a button over the picture is pressed as any other
    const isMain = event.button === 0;
    pressed = panned = place(event);
    [isMoved, isDragged, isRepeated] = [false, false, false];
    if (isMain && editor.isCarrying) held = "carried";
    else if (isMain && editor.grab(stage.toFrame(...place(event)), 1 / stage.scale)) held = "handle";
    else if (isMain && measures.tool) held = "tool";
    else held = event.button === 2 ? "window" : "pan";
    view.setPointerCapture(event.pointerId);
    view.dataset.held = held;
  });
  view.addEventListener("mousedown", ({ detail: times }) => (isRepeated = times > 1)); // what the system takes for a double click
  view.addEventListener("pointermove", (event) => {
    if (!isOpen()) return;
    const [x, y] = place(event);
    const at = stage.toFrame(x, y);
    const away = held === null ? 0 : Math.hypot(x - pressed[0], y - pressed[1]);
    isMoved ||= away >= 1;
    isDragged ||= away > SLIP;
    if (held === "handle") isDragged && editor.drag(at);
    else if (held === "window") stage.setWindow(stage.level - event.movementY * 0.6, stage.width + event.movementX);
    else if (held === "pan") isDragged && pan([x, y]);
    else measures.hover(at);
  });
  view.addEventListener("pointerup", (event) => {
    const at = place(event);
    const isSecond = isRepeated && !isDragged;
    if (held === "handle") letGo(isSecond);
    else if (held === "carried") isSecond || editor.put(stage.toFrame(...at));
    else if (held === "tool") isSecond || measure(stage.toFrame(...at));
    else if (held === "pan" && event.button === 0 && !isMoved && !stage.isFitted && !isWorking()) stage.centre(...at);
    release();
  });
  view.addEventListener("pointercancel", () => {
    editor.drop();
    release();
  });
  view.addEventListener("contextmenu", (event) => event.preventDefault());
  view.addEventListener("dblclick", () => isWorking() || fit());
  view.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (event.ctrlKey || event.shiftKey) stage.zoom(event.deltaY < 0 ? 1.12 : 1 / 1.12, ...place(event));
      else step(event.deltaY > 0 ? 1 : -1);
    },
    { passive: false },
  );
}
