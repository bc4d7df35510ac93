// The service's events, heard while a page is visible and not otherwise: every stream holds one of the few connections that a
// browser has for a host (six by HTTP/1.1), and with one for each tab none is left for what a person asks.

/** Before a stream that was refused is asked for again; each time twice as long. */
const [FIRST_PAUSE, LONGEST_PAUSE] = [2000, 60_000];

/** For what a page asks by itself: it is answered as ever, and does not count as use of the session. */
export const UNATTENDED = { "X-Sonomyo-Unattended": "true" };

/**
 * `opened()` follows each beginning of a stream, also when the page is shown again: the time to look what happened meanwhile.
 * `heard(name, told)` has an event of `names`; `lost(isRefused)` says that no stream is there, and whether one was refused: the
 * browser gives up then, and it is asked for again here, ever more slowly.
 */
export function whileVisible({ names, opened, heard, lost = () => {} }) {
  let stream = null;
  let timer = null;
  let pause = FIRST_PAUSE;
  const open = () => {
    clearTimeout(timer);
    if (stream) return;
    const made = (stream = new EventSource("/api/v1/events"));
    made.addEventListener("open", () => {
      pause = FIRST_PAUSE;
      opened();
    });
    made.addEventListener("error", () => {
      const isRefused = made.readyState === EventSource.CLOSED;
      if (isRefused) {
        stream = null;
        timer = setTimeout(open, pause);
        pause = Math.min(2 * pause, LONGEST_PAUSE);
      }
      lost(isRefused);
    });
    for (const name of names) made.addEventListener(name, ({ data }) => heard(name, JSON.parse(data)));
  };
  const close = () => {
    clearTimeout(timer);
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
