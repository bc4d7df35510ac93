// The pointer on the picture: handles and tools first, then pan with the left, window with the right button; the wheel steps.
// All that is dragged is done by clicks, too (WCAG 2.5.7).

const SLIP = 4; // pixels of the screen that a click may move

/** `isOpen()` says whether a cine is there, `step(by)` goes on by frames, `fit()` shows the whole picture. */
export function point({ view, stage, measures, editor, fit, step, isOpen }) {
  let held = null;
  let pressed = null; // where, in the view
  let isDragged = false;
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
  view.addEventListener("pointerdown", (event) => {
    if (!isOpen() || event.target.closest("button")) return; // a button over the picture is pressed as any other
    const isMain = event.button === 0;
    [pressed, isDragged] = [place(event), false];
    if (isMain && editor.isCarrying) held = "carried";
    else if (isMain && editor.grab(stage.toFrame(...place(event)), 1 / stage.scale)) held = "handle";
    else if (isMain && measures.tool) held = "tool";
    else held = event.button === 2 ? "window" : "pan";
    view.setPointerCapture(event.pointerId);
    view.dataset.held = held;
  });
  view.addEventListener("pointermove", (event) => {
    if (!isOpen()) return;
    const [x, y] = place(event);
    const at = stage.toFrame(x, y);
    isDragged ||= held !== null && Math.hypot(x - pressed[0], y - pressed[1]) > SLIP;
    if (held === "handle") isDragged && editor.drag(at);
    else if (held === "window") stage.setWindow(stage.level - event.movementY * 0.6, stage.width + event.movementX);
    else if (held === "pan") stage.pan(event.movementX, event.movementY);
    else measures.hover(at);
  });
  view.addEventListener("pointerup", (event) => {
    const at = place(event);
    if (held === "handle") isDragged ? editor.drop() : editor.carry();
    else if (held === "carried") editor.put(stage.toFrame(...at));
    else if (held === "tool") measure(stage.toFrame(...at));
    else if (held === "pan" && event.button === 0 && !isDragged && !stage.isFitted) stage.centre(...at);
    release();
  });
  view.addEventListener("pointercancel", () => {
    editor.drop();
    release();
  });
  view.addEventListener("contextmenu", (event) => event.preventDefault());
  view.addEventListener("dblclick", () => !measures.tool && fit());
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
