// What comes later takes the focus from nobody who has gone on meanwhile: who types would type somewhere else.

import { FORMS } from "./typed.js";

let deeds = 0; // what a person did in the page, by key or pointer; who saves by key goes on nowhere
const MODIFIERS = ["Control", "Meta", "Shift", "Alt"];
const isSaving = ({ key, ctrlKey, metaKey }) => MODIFIERS.includes(key) || (key === "s" && (ctrlKey || metaKey));
addEventListener("keydown", (event) => (deeds += isSaving(event) ? 0 : 1), { capture: true });
for (const kind of ["pointerdown", "input"]) addEventListener(kind, () => (deeds += 1), { capture: true });

/** Whether nothing that is seen has the focus, so that something may take it. */
export function isFree() {
  return document.activeElement === document.body || !document.activeElement.checkVisibility();
}

/** Tells later whether the person has done nothing since, wherever we have moved the focus, or whether it is free. */
export function stillHere() {
  const before = deeds;
  return () => isFree() || deeds === before;
}

/** Gives the focus back, later, to the field or the finding that has it now: to the same one of other content. */
export function holdFocus(content, { sameForm, sameRow }) {
  const focused = document.activeElement;
  const [form, row] = [focused.closest(FORMS), focused.closest(".finding")];
  if (!content.contains(focused)) return () => {};
  const { name, value, selectionStart, selectionEnd } = focused;
  if (form && name) return () => giveField(sameForm(form), { name, value, selectionStart, selectionEnd });
  return () => row && isFree() && sameRow(row.dataset.finding)?.focus({ preventScroll: true });
}

/** All that was selected stays all, and the end the end, whatever the text is now. */
function giveField(form, { name, value, selectionStart: from, selectionEnd: to }) {
  if (!form || form.hidden || !isFree()) return;
  const field = form.elements[name];
  field.focus({ preventScroll: true });
  if (typeof from !== "number") return;
  const isToEnd = to === value.length;
  const end = isToEnd ? field.value.length : to;
  field.setSelectionRange(isToEnd && from === to ? end : from, end);
}
