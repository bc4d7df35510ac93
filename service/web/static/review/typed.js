// What stands in forms and was not applied yet: it outlives another version of the report being shown.

const FORMS = "form.in-place";

/** The form holds nothing that would be lost, until it is opened again. */
export function setApplied(form, isApplied) {
  form.toggleAttribute("data-applied", isApplied);
}

/** What a person typed or chose: of each form, which one it is, whether it is open, and its fields by name. */
export function typedIn(content) {
  const forms = [...content.querySelectorAll(FORMS)].filter((form) => !form.hasAttribute("data-applied"));
  return forms.map((form) => ({ ...placeOf(form), isOpen: !form.hidden, fields: changed(form) })).filter(({ fields }) => fields.size);
}

/** Put it into the same forms of other content; those that were open are opened by `open(form)`. Gives what has no place any more. */
export function putBack(content, typed, open) {
  const lost = [];
  for (const { kind, of, isOpen, fields } of typed) {
    const form = [...content.querySelectorAll(FORMS)].map((one) => [one, placeOf(one)]).find(([, place]) => place.kind === kind && place.of === of)?.[0];
    if (form) for (const [name, text] of fields) form.elements[name].value = text;
    else lost.push(...fields.values());
    if (form && isOpen) open(form);
  }
  return lost;
}

function placeOf(form) {
  return { kind: form.dataset.form, of: form.dataset.uid ?? form.closest(".finding")?.dataset.finding };
}

function changed(form) {
  const fields = [...form.elements].filter((field) => field.name && field.value !== startOf(field));
  return new Map(fields.map((field) => [field.name, field.value]));
}

function startOf(field) {
  if (!field.options) return field.defaultValue;
  return ([...field.options].find((option) => option.defaultSelected) ?? field.options[0])?.value;
}
