// The page's own words in the reader's language: English sentences, and what the page says for each in another language.

const told = document.querySelector('meta[name="words"]')?.content;
const WORDS = told ? JSON.parse(told) : {};

/** `say("Frame {frame} of {count}", {frame, count})`: the English sentence is the key; what has no translation stays English. */
export function say(english, values = {}) {
  return (WORDS[english] ?? english).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** A moment of the API's in UTC, which is said: `2026-11-20 09:30 UTC`, in German `20.11.2026, 09:30 UTC`, as the pages write it. */
export function moment(at) {
  const [day, time] = new Date(at).toISOString().slice(0, 16).split("T");
  return document.documentElement.lang === "de" ? `${day.split("-").reverse().join(".")}, ${time} UTC` : `${day} ${time} UTC`;
}

const SIGN = (1.5).toLocaleString(document.documentElement.lang || "en").charAt(1);

/** A number that was written with a point and a hyphen, with the decimal sign of the page's language and a true minus sign. */
export function decimal(text) {
  return text.replace(/^-/, "\u2212").replace(".", SIGN);
}
