// The panel by keyboard. Keys of letters work on a finding that has the focus, and never while something is typed.

import { keyOf } from "../single-keys.js";

const OF_A_FINDING = { e: "[data-amend]", x: "[data-reject]", c: "[data-accept]", f: "[data-seek]" };
const FIELDS = "input, textarea, select";

/** `rows` gives the findings in order, `leave` leaves a form, `save` saves. */
export function listen(panel, { rows, leave, save }) {
  panel.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches(FIELDS);
    if (isTyping || event.key === " " || event.key === "Enter") event.stopPropagation();
    if (event.key === "Escape" && event.target.closest("form.in-place")) return done(event, () => leave(event.target.closest("form.in-place")));
    if (isSave(event)) return done(event, save);
    const key = keyOf(event);
    if (isTyping || key === null) return undefined;
    if (key === "j" || key === "k") return done(event, () => step(rows(), key === "j" ? 1 : -1));
    const row = event.target.closest(".finding");
    const button = row && key in OF_A_FINDING && row.querySelector(OF_A_FINDING[key]);
    return button ? done(event, () => button.click()) : undefined;
  });
  // Also from the picture, where lines are drawn; whoever may only read saves the page, as in any other.
  document.addEventListener("keydown", (event) => isSave(event) && panel.querySelector("[data-save]") && done(event, save));
}

function isSave({ key, ctrlKey, metaKey }) {
  return key === "s" && (ctrlKey || metaKey);
}

function step(rows, direction) {
  const shown = rows.filter((row) => row.checkVisibility());
  const here = shown.findIndex((row) => row.contains(document.activeElement));
  const next = here < 0 ? (direction > 0 ? 0 : shown.length - 1) : here + direction;
  shown[Math.min(Math.max(next, 0), shown.length - 1)]?.focus();
}

function done(event, deed) {
  event.preventDefault();
  event.stopPropagation();
  return deed();
}
