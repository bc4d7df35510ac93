// The pointer on the picture: handles and tools first, then pan with the left, window with the right button; the wheel steps.

/** `isOpen()` says whether a cine is there, `step(by)` goes on by frames, `fit()` shows the whole picture. */
export function point({ view, stage, measures, editor, fit, step, isOpen }) {
  let held = null;
  const place = (event) => {
    const box = view.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const release = () => {
    held = null;
    view.dataset.held = "";
  };
  view.addEventListener("pointerdown", (event) => {
    if (!isOpen() || event.target.closest("button")) return; // a button over the picture is pressed as any other
    const isMain = event.button === 0;
    if (isMain && editor.grab(stage.toFrame(...place(event)), 1 / stage.scale)) held = "handle";
    else if (isMain && measures.tool) held = "tool";
    else held = event.button === 2 ? "window" : "pan";
    view.setPointerCapture(event.pointerId);
    view.dataset.held = held;
  });
  view.addEventListener("pointermove", (event) => {
    if (!isOpen()) return;
    const at = stage.toFrame(...place(event));
    if (held === "handle") editor.drag(at);
    else if (held === "window") stage.setWindow(stage.level - event.movementY * 0.6, stage.width + event.movementX);
    else if (held === "pan") stage.pan(event.movementX, event.movementY);
    else measures.hover(at);
  });
  view.addEventListener("pointerup", (event) => {
    if (held === "handle") editor.drop();
    if (held === "tool") measures.put(stage.toFrame(...place(event)));
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
