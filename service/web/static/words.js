// The page's own words in the reader's language: English sentences, and what the page says for each in another language.

const told = document.querySelector('meta[name="words"]')?.content;
const WORDS = told ? JSON.parse(told) : {};

/** `say("Frame {frame} of {count}", {frame, count})`: the English sentence is the key; what has no translation stays English. */
export function say(english, values = {}) {
  return (WORDS[english] ?? english).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

const SIGN = (1.5).toLocaleString(document.documentElement.lang || "en").charAt(1);

/** A number that was written with a point and a hyphen, with the decimal sign of the page's language and a true minus sign. */
export function decimal(text) {
  return text.replace(/^-/, "\u2212").replace(".", SIGN);
}
