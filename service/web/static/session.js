// Says some minutes before it that a session ends, and lets the person go on (WCAG 2.2, 2.2.1); by itself it prolongs none.

import { UNATTENDED } from "./events.js";
import { say } from "./words.js";

const [MINUTE_SECONDS, AGAIN_SECONDS] = [60, 20];
const FIRST_MILLISECONDS = 5000; // after what the page itself asks for

const notice = document.querySelector("[data-session]");
const at = (name) => notice.querySelector(`[data-session-${name}]`);
let timer = null;
let state = "";

/** `seconds` until the session ends, and whether use prolongs it; nothing where that is not known. */
async function asked(headers) {
  const answer = await fetch("/api/v1/me", { headers: { Accept: "application/json", ...headers } });
  if (answer.status === 401) return { seconds: 0 };
  const end = answer.ok ? (await answer.json()).session_end : null;
  return end && { seconds: end.ends_in_seconds, isProlonged: end.is_prolonged_by_use, warned: end.warned_seconds };
}

async function look(headers = UNATTENDED) {
  clearTimeout(timer);
  const found = await asked(headers).catch(() => null);
  if (found) show(found);
  if (state === "ended") return; // whoever signs in again in another tab is met when this one is shown
  const wait = !found ? MINUTE_SECONDS : state ? AGAIN_SECONDS : found.seconds - found.warned + 1;
  timer = setTimeout(look, 1000 * Math.min(Math.max(wait, 1), 24 * 3600));
}

function show({ seconds, isProlonged, warned }) {
  const now = seconds === 0 ? "ended" : seconds > warned ? "" : isProlonged ? "idle" : "over";
  const minutes = Math.max(1, Math.round(seconds / MINUTE_SECONDS));
  const words = {
    "": "",
    idle: say("You will be signed out in {minutes} min, because the service was not used for a while.", { minutes }),
    over: say("Your session ends in {minutes} min. Save what is not saved, then sign in again.", { minutes }),
    ended: say("Your session has ended. Sign in again in another tab: what is not saved stays here."),
  }[now];
  at("words").textContent = words;
  at("stay").hidden = now !== "idle";
  at("sign-in").hidden = now !== "ended";
  notice.hidden = !now;
  if (now !== state) document.querySelector("[data-session-told]").textContent = words; // once, and not each minute
  state = now;
}

if (notice) {
  at("stay").addEventListener("click", () => look({}));
  document.addEventListener("visibilitychange", () => document.hidden || look());
  addEventListener("pageshow", ({ persisted }) => persisted && look());
  timer = setTimeout(look, FIRST_MILLISECONDS);
}
