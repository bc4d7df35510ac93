// What stands in forms and was neither kept nor discarded: it outlives another version of the report being shown.

export const FORMS = "form.in-place";

/** Of each form that was kept, its fields as they were then: only what differs from them would be lost. */
const KEPT = new WeakMap();

/** What the fields of a form hold now, by name. */
export function fieldsOf(form) {
  return new Map(named(form).map((field) => [field.name, field.value]));
}

/** What `fields` say of a form counts as kept. */
export function keepFields(form, fields = fieldsOf(form)) {
  KEPT.set(form, fields);
}

/** What was kept counts no longer: the form is as the version has it, unless more was typed into it since, or somebody stands in it. */
export function forgetKept(form) {
  const isInUse = isTyped(form) || form.contains(document.activeElement);
  KEPT.delete(form);
  if (!isInUse) form.reset();
}

export function isTyped(form) {
  return named(form).some((field) => field.value !== startOf(form, field));
}

/** The field into which something was typed first. */
export function typedField(form) {
  return named(form).find((field) => field.value !== startOf(form, field));
}

/** A form as it was when it was kept, or as the version has it. */
export function discardTyped(form) {
  for (const field of named(form)) field.value = startOf(form, field);
}

/**
 * What a person typed or chose, or is about to: of each form, which one it is, whether it is open, and its fields by name. `isLeft`
 * tells of a form that has done its work: what was typed into it since has no place any more. What was kept of the others is still
 * `isUnsaved`, or is in the version that comes.
 */
export function typedIn(content, { isLeft, isUnsaved }) {
  const forms = [...content.querySelectorAll(FORMS)].filter((form) => isTyped(form) || (isBegun(form) && !isLeft(form)));
  return forms.map((form) => {
    const isKept = !isTyped(form);
    return { ...placeOf(form), isOpen: !form.hidden, isLost: isLeft(form), isKept, fields: isKept && !isUnsaved ? new Map() : changed(form) };
  });
}

/** Put it into the same forms of other content; those that were open are opened by `open(form)`. Gives what has no place any more. */
export function putBack(content, typed, open) {
  const lost = [];
  for (const { kind, of, isOpen, isLost, isKept, fields } of typed) {
    const form = isLost ? undefined : formAt(content, { kind, of });
    if (form) for (const [name, text] of fields) form.elements[name].value = text;
    else lost.push(...[...fields.values()].filter(Boolean)); // of a field that was emptied there is nothing to copy
    if (form && isKept && fields.size) keepFields(form);
    if (form && isOpen) open(form);
  }
  return lost;
}

/** The form of other content that is the same. */
export function sameForm(content, form) {
  return formAt(content, placeOf(form));
}

function formAt(content, { kind, of }) {
  return [...content.querySelectorAll(FORMS)].find((one) => placeOf(one).kind === kind && placeOf(one).of === of);
}

/** One in which somebody stands, whether or not something is typed. */
function isBegun(form) {
  return document.activeElement.form === form && Boolean(document.activeElement.name);
}

function placeOf(form) {
  return { kind: form.dataset.form, of: form.dataset.uid ?? form.dataset.of ?? form.closest(".finding")?.dataset.finding };
}

/** Also what was kept before: it stands beside what was typed since. */
function changed(form) {
  const fields = named(form).filter((field) => field.value !== startOf(form, field) || field.value !== ownStartOf(field));
  return new Map(fields.map((field) => [field.name, field.value]));
}

function named(form) {
  return [...form.elements].filter((field) => field.name);
}

function startOf(form, field) {
  return KEPT.get(form)?.get(field.name) ?? ownStartOf(field);
}

function ownStartOf(field) {
  if (!field.options) return field.defaultValue;
  return ([...field.options].find((option) => option.defaultSelected) ?? field.options[0])?.value;
}
