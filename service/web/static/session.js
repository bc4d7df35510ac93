// Says some minutes before it that a session ends, and lets the person go on (WCAG 2.2, 2.2.1); by itself it prolongs none.

import { UNATTENDED } from "./events.js";
import { say } from "./words.js";

const [MINUTE_SECONDS, AGAIN_SECONDS] = [60, 20];
const FIRST_MILLISECONDS = 5000; // after what the page itself asks for
const ME = "/api/v1/me";

const place = document.querySelector("[data-session-place]");
const notice = document.querySelector("[data-session]");
const at = (name) => place.querySelector(`[data-session-${name}]`);
let timer = null;
let latest = 0;
/** What is told: "", "idle", "over", "ended"; the last minute is told, and shown, once more. */
let state = "";
let closed = null;
let known = null; // what was answered last, and when: the time goes on where nothing is answered
let before = null; // what had the focus before something in the notice had it

/** `seconds` until the session ends, and whether use prolongs it; nothing where that is not known. */
async function asked(headers) {
  const answer = await fetch(ME, { headers: { Accept: "application/json", ...headers } });
  if (answer.status === 401) return { seconds: 0 };
  const end = answer.ok ? (await answer.json()).session_end : null;
  return end && { seconds: end.ends_in_seconds, isProlonged: end.is_prolonged_by_use, warned: end.warned_seconds };
}

async function look({ isStaying = false } = {}) {
  clearTimeout(timer);
  const mine = ++latest;
  const found = await asked(isStaying ? {} : UNATTENDED).catch(() => null);
  if (mine !== latest) return; // asked again meanwhile: the older answer may be the later one
  if (found) known = { ...found, at: performance.now() };
  const now = found ?? (state ? counted() : null); // what the page was used for since is known only to the service
  if (now) show(now);
  if (isStaying) answerTo(found);
  const isSoon = state && state !== "ended";
  const wait = isSoon ? AGAIN_SECONDS : now && !state ? now.seconds - now.warned + 1 : MINUTE_SECONDS;
  timer = setTimeout(look, 1000 * Math.min(Math.max(wait, 1), 24 * 3600));
}

/** What was answered last, at this time. */
function counted() {
  const passed = known && (performance.now() - known.at) / 1000;
  return known && { ...known, seconds: Math.max(known.seconds - passed, 0) };
}

function show({ seconds, isProlonged, warned }) {
  const now = seconds === 0 ? "ended" : seconds > warned ? "" : isProlonged ? "idle" : "over";
  const minutes = inMinutes(seconds);
  const words = {
    "": "",
    idle: say("You will be signed out in {minutes} min, because the service was not used for a while.", { minutes }),
    over: say("Your session ends in {minutes} min. Save what is not saved, then sign in again.", { minutes }),
    ended: say("Your session has ended. Sign in again in another tab: what is not saved stays here."),
  }[now];
  const isLast = (now === "idle" || now === "over") && seconds <= MINUTE_SECONDS;
  const next = isLast ? `${now}, last minute` : now;
  if (next !== state) at("told").textContent = words; // once, and not each minute
  if (next !== closed) closed = null;
  state = next;
  keepingFocus(() => {
    at("words").textContent = words;
    at("failed").hidden = true;
    at("stay").hidden = now !== "idle";
    at("sign-in").hidden = now !== "ended";
    notice.hidden = !now || state === closed;
  });
}

/** Whether "Stay signed in" has done what it says. */
function answerTo(found) {
  if (!found) {
    at("failed").textContent = at("told").textContent = say("That did not work: the service did not answer. Please try again.");
    at("failed").hidden = false;
  } else if (!state) {
    const minutes = inMinutes(found.seconds);
    at("told").textContent = say("You stay signed in. If the service is not used, the session ends in {minutes} min.", { minutes });
  }
}

function inMinutes(seconds) {
  return Math.max(1, Math.round(seconds / MINUTE_SECONDS));
}

/** Focus that was in the notice does not fall to the whole page when what had it goes. */
function keepingFocus(change) {
  const focused = notice.contains(document.activeElement) ? document.activeElement : null;
  change();
  if (!focused || focused.checkVisibility()) return;
  const back = before?.isConnected && before.checkVisibility() ? before : document.getElementById("main");
  (notice.hidden ? back : at("close")).focus({ preventScroll: true });
}

function close() {
  closed = state;
  keepingFocus(() => (notice.hidden = true));
}

/** What a modal dialog or the full screen does not hold is not seen then, nor heard, so the notice goes where the person is. */
function goAlong() {
  const host = [...document.querySelectorAll("dialog:modal")].at(-1) ?? document.fullscreenElement ?? document.body;
  if (place.parentElement === host) return;
  const focused = notice.contains(document.activeElement) ? document.activeElement : null;
  host.append(place);
  focused?.focus({ preventScroll: true });
}

/** Something else that this page asked for was answered: whoever it is for is signed in again. */
function isAnswered({ name, responseStatus }) {
  const { origin, pathname } = new URL(name);
  return origin === location.origin && pathname.startsWith("/api/v1/") && pathname !== ME && responseStatus >= 200 && responseStatus < 300;
}

if (notice) {
  at("stay").addEventListener("click", () => look({ isStaying: true }));
  at("close").addEventListener("click", close);
  notice.addEventListener("focusin", ({ relatedTarget: left }) => {
    if (left && !notice.contains(left)) before = left;
  });
  document.addEventListener("visibilitychange", () => document.hidden || look());
  addEventListener("focus", () => state && look()); // from another window, in which somebody signed in perhaps
  addEventListener("pageshow", ({ persisted }) => persisted && look());
  new PerformanceObserver((seen) => state === "ended" && seen.getEntries().some(isAnswered) && look()).observe({ type: "resource" });
  document.addEventListener("fullscreenchange", goAlong);
  new MutationObserver(goAlong).observe(document.body, { subtree: true, attributeFilter: ["open"] });
  timer = setTimeout(look, FIRST_MILLISECONDS);
}
