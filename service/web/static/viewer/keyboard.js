// Every key of the viewer, once: what it does, and what the help says of it.

import { keyOf } from "../single-keys.js";

/** `actions` by name; gives nothing to a key that is typed into a field. */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]") || isTheirs(event)) return;
    const action = actions[KEYS.get(keyOf(event))];
    if (!action) return;
    event.preventDefault();
    action(event);
  });
}

const KEYS = new Map([
  [" ", "toggle"],
  ["k", "toggle"],
  ["ArrowLeft", "left"],
  ["ArrowRight", "right"],
  ["ArrowUp", "up"],
  ["ArrowDown", "down"],
  ["PageUp", "back"],
  ["PageDown", "ahead"],
  ["Home", "first"],
  ["End", "last"],
  ["[", "loopFrom"],
  ["]", "loopTo"],
  ["\\", "loopAll"],
  ["l", "loop"],
  ["<", "slower"],
  [">", "faster"],
  ["o", "overlay"],
  ["r", "ruler"],
  ["a", "angle"],
  ["w", "window"],
  ["Enter", "enter"],
  ["Backspace", "remove"],
  ["Delete", "remove"],
  ["Escape", "leave"],
  [",", "handleBefore"],
  [".", "handleAfter"],
  ["+", "larger"],
  ["=", "larger"],
  ["-", "smaller"],
  ["0", "fit"],
  ["p", "peak"],
  ["n", "nextCine"],
  ["j", "findings"],
  ["t", "theme"],
  ["f", "full"],
  ["?", "help"],
]);

function isTyping(element) {
  return element.isContentEditable || (element.matches?.("input, select, textarea") && element.type !== "range" && element.type !== "checkbox");
}

/** Space and Enter work the button, link or box that has the focus; arrows, Home and End move the slider that has it. */
function isTheirs({ key, target }) {
  if (key === " " || key === "Enter") return target.matches?.("button, a, summary, input[type=checkbox]") ?? false;
  const isSliding = key.startsWith("Arrow") || key.startsWith("Page") || key === "Home" || key === "End";
  return isSliding && ((target.matches?.("input[type=range]") ?? false) || scrolls(target));
}

/** What has the focus to be scrolled by keys, such as the panel of findings. */
function scrolls(element) {
  return element.matches?.("[data-scrolls]") ?? false;
}
