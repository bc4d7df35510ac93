// What the page says beside the picture: where the cine stands, what is drawn, what a frame of a wrist shows, its contractions.

import { decimal, say } from "../words.js";

const RUNS_TOLD = 12; // of frames one after the other

export class Readout {
  #root;
  #at;
  #stage;
  #go;
  #shown = null; // what is written of a wrist: the picture is painted far more often than that changes

  /** `at(name)` finds the element of a name in `root`, `stage` paints, `go(frame)` goes to a frame. */
  constructor(root, at, { stage, go }) {
    this.#root = root;
    this.#at = at;
    this.#stage = stage;
    this.#go = go;
  }

  /** What is wrong, over the picture, until a frame is shown; with a button where it can be tried again. */
  complain(words, { canTryAgain = false } = {}) {
    if (this.#at("problem").textContent === words) return;
    this.#at("problem").textContent = words;
    this.#at("problem").hidden = !words;
    this.#hide(this.#at("complaint"), !words);
    this.#at("open-again").hidden = !canTryAgain;
  }

  /** Where the button that has the focus goes, the picture gets it: keys lead on from there. */
  #hide(place, isHidden) {
    const hasFocus = place.contains(document.activeElement);
    place.hidden = isHidden;
    if (hasFocus && isHidden) this.#at("view").focus();
  }

  /** Why there are no plots, in their place, with a button that asks for them again. */
  unplotted(words) {
    this.#at("plots-why").textContent = words;
    this.#hide(this.#at("plots-failed"), !words);
  }

  /** The flag beside the patient: what the version that is shown is. */
  version({ version, status }) {
    for (const one of this.#root.querySelectorAll("[data-when]")) {
      one.hidden = !one.dataset.when.split(" ").includes(status);
      one.querySelector(".flag").lastChild.data = say("{status}, version {version}", { status: say(status), version });
    }
  }

  window(level, width, isPlain) {
    this.#at("level").value = level;
    this.#at("width").value = width;
    this.#at("window-told").textContent = isPlain ? "" : `L ${Math.round(level)} W ${Math.round(width)}`;
  }

  /** What holds for all frames of a cine that was opened. */
  cine({ time, region }, player, scale) {
    const slider = this.#at("slider");
    [slider.max, slider.value, slider.disabled] = [player.count, 1, player.count < 2];
    this.#at("kinds").replaceChildren();
    this.#at("time-note").textContent = !player.isTimed
      ? [say("No time axis: played at 25 frames a second."), time.reason].filter(Boolean).join(" ")
      : time.is_nominal
        ? say("Nominal time: only a display rate is known.")
        : "";
    this.#at("scale-note").textContent = scale.isKnown
      ? ""
      : say("Not calibrated: {reason}. Lengths are in pixels.", { reason: region.reason ?? say("no region") });
  }

  /** No cine is open: nothing is said of one. */
  nowhere() {
    for (const name of ["frame", "count"]) this.#at(name).textContent = "–";
    for (const name of ["seconds", "time-note", "scale-note", "loop-told"]) this.#at(name).textContent = "";
    const slider = this.#at("slider");
    [slider.value, slider.disabled] = [1, true];
    slider.removeAttribute("aria-valuetext");
    this.#at("range").hidden = true;
    this.#at("kinds").replaceChildren();
    this.missing([]);
    this.events([]);
  }

  /** Which frames of the cine can never be shown, as far as that is known. */
  missing(frames) {
    this.#write("missing", frames.length ? say("Frames that cannot be shown: {frames}", { frames: inRuns(frames) }) : "");
  }

  frame(frame, count, seconds) {
    this.#at("slider").value = frame;
    this.#at("slider").setAttribute("aria-valuetext", told(frame, count, seconds));
    this.#at("frame").textContent = frame;
    this.#at("count").textContent = count;
    this.#at("seconds").textContent = seconds === null ? "" : `${decimal(seconds.toFixed(2))} s`;
  }

  /** `isWanted`: play was asked for before there is anything to play. */
  transport(player, isWanted) {
    const play = this.#at("play");
    const isPlaying = isWanted || player?.isPlaying;
    play.setAttribute("aria-label", isPlaying ? say("Pause") : say("Play"));
    play.dataset.state = isPlaying ? "playing" : "paused";
    if (!player) return;
    this.#at("view").dataset.playing = String(player.isPlaying);
    this.#at("loop").setAttribute("aria-pressed", String(player.isLooping));
    this.#at("speed").value = String(player.speed);
    const [first, last] = player.range ?? [1, player.count];
    const span = Math.max(player.count - 1, 1);
    this.#at("range").style.left = `${(100 * (first - 1)) / span}%`;
    this.#at("range").style.right = `${(100 * (player.count - last)) / span}%`;
    this.#at("range").hidden = !player.range;
    this.#at("loop-told").textContent = player.range ? say("Loop {first} to {last}", { first, last }) : "";
  }

  /** What a frame of a wrist shows: plane, grade, and why it is no better; as strong as the rest of the overlay. */
  wrist(shown, opacity) {
    const place = this.#at("shown");
    place.hidden = !shown;
    place.style.opacity = opacity;
    if (!shown || shown === this.#shown) return;
    this.#shown = shown;
    this.#at("plane").textContent = shown.plane ? `${shown.plane} ${say(shown.title ?? "")}` : say("No standard plane");
    this.#at("grade").textContent = shown.grade ?? "–";
    this.#at("grade").dataset.grade = shown.grade ?? "";
    this.#at("why").textContent = (shown.reasons ?? []).map((reason) => say(reason.replaceAll("_", " "))).join(", ");
  }

  /** A button for each kind of thing that is drawn: lines have a stroke beside their name, those of a person dashes, areas a square. */
  kinds(overlays) {
    const place = this.#at("kinds");
    const { kinds } = overlays;
    for (const gone of [...place.children].filter((child) => !kinds.has(child.dataset.kind))) {
      this.#hide(gone, true);
      gone.remove();
    }
    for (const [kind, told] of kinds) {
      if (/^Motor unit \d+$/.test(kind)) continue; // each has a row of its own under the cine
      if ([...place.children].some((child) => child.dataset.kind === kind)) continue;
      place.append(this.#kind(kind, told, overlays));
    }
  }

  /** What there is to say of a frame's overlay; where it did not come, with a button that asks for it again. */
  overlay(overlays, frame) {
    const why = overlays?.isOn ? overlays.problemOf(frame) : null;
    this.#write("overlay-why", why === null ? "" : say("No overlay: {why}", { why }));
    this.#hide(this.#at("overlay-failed"), why === null);
    this.#write("overlay-note", overlays ? noteOf(overlays, frame) : "");
  }

  /** As often as frames are shown; what is the same already is left alone. */
  #write(name, words) {
    if (this.#at(name).textContent !== words) this.#at(name).textContent = words;
  }

  #kind(kind, { colour, form, words = say(kind) }, overlays) {
    const swatch = document.createElement("span");
    swatch.className = `swatch ${form}`;
    if (colour) swatch.style.background = colour;
    const button = this.#button("kind", words, () => {
      const isShown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(isShown));
      overlays.hidden[isShown ? "delete" : "add"](kind);
      this.#stage.paint();
    });
    button.dataset.kind = kind;
    button.setAttribute("aria-pressed", String(!overlays.hidden.has(kind)));
    button.prepend(swatch);
    return button;
  }

  /** Rest and peak of each contraction, as buttons beside the slider. */
  events(events) {
    const place = this.#at("events");
    place.hidden = events.length === 0;
    place.replaceChildren(
      ...events.flatMap(({ rest_frame: rest, peak_frame: peak }, index) => {
        const number = events.length > 1 ? ` ${index + 1}` : "";
        return [[`┆ ${say("Rest")}${number}`, rest], [`▲ ${say("Peak")}${number}`, peak]].map(([words, frame]) => {
          const button = this.#button("small", words, () => this.#go(frame));
          button.title = say("Frame {frame}", { frame });
          return button;
        });
      }),
    );
  }

  #button(className, words, pressed) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = className;
    button.textContent = words;
    button.addEventListener("click", pressed);
    return button;
  }
}

/** `1, 21–23` */
function inRuns(frames) {
  const runs = [];
  for (const frame of frames) {
    if (runs.at(-1)?.[1] === frame - 1) runs.at(-1)[1] = frame;
    else runs.push([frame, frame]);
  }
  const told = runs.slice(0, RUNS_TOLD).map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`));
  return [...told, ...(runs.length > RUNS_TOLD ? ["…"] : [])].join(", ");
}

function noteOf(overlays, frame) {
  if (overlays.isSuperseded) return say("The cine was analysed anew since this version: its masks are not those of this report and are not shown.");
  return overlays.get(frame) === null && !overlays.kinds.size ? say("Nothing was drawn in this frame.") : "";
}

export function told(frame, count, seconds) {
  return seconds === null
    ? say("Frame {frame} of {count}", { frame, count })
    : say("Frame {frame} of {count}, {seconds} seconds", { frame, count, seconds: decimal(seconds.toFixed(2)) });
}
