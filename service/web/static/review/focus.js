// What comes later takes the focus from nobody who has gone on meanwhile: who types would type somewhere else.

import { FORMS } from "./typed.js";

const TYPED = "input, textarea, select";

/** Whether nothing that is seen has the focus, so that something may take it. */
export function isFree() {
  return document.activeElement === document.body || !document.activeElement.checkVisibility();
}

/** Tells later whether the focus is free, or still where it is now and nothing is typed there. */
export function stillHere() {
  const here = document.activeElement;
  return () => isFree() || (document.activeElement === here && !here.matches(TYPED));
}

/** Gives the focus back, later, to the field that has it now: to the same one of other content, if its form is open there. */
export function holdFocus(content, sameForm) {
  const field = document.activeElement;
  const form = field.closest(FORMS);
  if (!form || !field.name || !content.contains(form)) return () => {};
  const { name, selectionStart: from, selectionEnd: to } = field;
  return () => {
    const again = sameForm(form);
    if (!again || again.hidden || !isFree()) return;
    again.elements[name].focus({ preventScroll: true });
    if (typeof from === "number") again.elements[name].setSelectionRange(from, to);
  };
}
