// The service's events, heard while a page is visible and not otherwise: every stream holds one of the few connections that a
// browser has for a host (six by HTTP/1.1), and with one for each tab none is left for what a person asks.

/** For what a page asks by itself: it is answered as ever, and does not count as use of the session. */
export const UNATTENDED = { "X-Sonomyo-Unattended": "true" };

/**
 * `opened()` follows each beginning of a stream, also when the page is shown again: the time to look what happened meanwhile.
 * `heard(name, told)` has an event of `names`; `lost(isOver)` says that no stream is there, and whether none will come while the
 * page stays as it is.
 */
export function whileVisible({ names, opened, heard, lost = () => {} }) {
  let stream = null;
  const open = () => {
    if (stream) return;
    const made = (stream = new EventSource("/api/v1/events"));
    made.addEventListener("open", () => opened());
    made.addEventListener("error", () => lost(made.readyState === EventSource.CLOSED));
    for (const name of names) made.addEventListener(name, ({ data }) => heard(name, JSON.parse(data)));
  };
  const close = () => {
    if (!stream) return;
    stream.close();
    stream = null;
    lost(false);
  };
  const follow = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", close);
  addEventListener("pageshow", follow); // back from the browser's cache of pages
  follow();
}
