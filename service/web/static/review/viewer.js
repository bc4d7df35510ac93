// What the panel tells the viewer beside it.

/** By an event on `document`; which ones there are, `review.js` and `viewer/main.js` say. */
export function tell(name, detail) {
  document.dispatchEvent(new CustomEvent(name, { detail }));
}
