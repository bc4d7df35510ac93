// What a person does with the stage, by name: keys and buttons lead here.

const SPEEDS = [0.1, 0.25, 0.5, 1, 2];
const PLAIN_WINDOW = [128, 256];

/**
 * `desk` has `root`, `at(name)`, `stage`, `measures` and `editor`; `cine` is what is open, or null; `toggle`, `go(frame)`,
 * `open(uid)`, `setOverlay(isOn)` and `useTool(tool)` are what the stage does.
 */
export function actionsOf(desk) {
  const { root, at, stage, measures, editor } = desk;
  const player = () => desk.cine?.player;
  const isAiming = () => measures.tool !== null;
  const isShown = () => at("overlay").getAttribute("aria-pressed") === "true";

  const arrow = (right, down, step) => (event) => {
    if (!desk.cine) return;
    const by = event.shiftKey ? 10 : 1;
    if (isAiming()) measures.nudge(right * by, down * by);
    else if (editor.isOn) editor.nudge(right * by * 0.5, down * by * 0.5);
    else if (event.shiftKey) stage.pan(-40 * right, -40 * down);
    else if (step) player().step(step);
    else stage.setWindow(stage.level + 4 * down, stage.width);
  };
  const speedBy = (by) => () => {
    const place = SPEEDS.indexOf(player()?.speed);
    player()?.setSpeed(SPEEDS[Math.min(Math.max(place + by, 0), SPEEDS.length - 1)]);
  };

  return {
    toggle: () => desk.toggle(),
    left: arrow(-1, 0, -1),
    right: arrow(1, 0, 1),
    up: arrow(0, -1, 0),
    down: arrow(0, 1, 0),
    back: () => player()?.step(-10),
    ahead: () => player()?.step(10),
    first: () => desk.go(1),
    last: () => desk.go(desk.cine?.number_of_frames),
    loopFrom: () => player()?.setRange(player().frame || 1, Math.max(player().last, player().frame || 1)),
    loopTo: () => player()?.setRange(Math.min(player().first, player().frame || 1), player().frame || 1),
    loopAll: () => player()?.setRange(1, player().count),
    loop: () => player()?.setLooping(!player().isLooping),
    slower: speedBy(-1),
    faster: speedBy(1),
    overlay: () => desk.setOverlay(!isShown()),
    ruler: () => desk.useTool("ruler"),
    angle: () => desk.useTool("angle"),
    window: () => {
      at("window").open = !at("window").open;
      if (at("window").open) at("level").focus();
    },
    enter: () => isAiming() && measures.enter(),
    remove: () => measures.removeLast(),
    leave: () => {
      at("window").open = false;
      if (editor.letGo()) return;
      if (isAiming()) desk.useTool(measures.tool);
      else if (document.activeElement.closest(".beside")) at("view").focus();
    },
    findings: () => root.querySelector(".finding")?.focus(), // from there on the panel's own keys lead
    handleBefore: () => editor.isOn && editor.choose(-1),
    handleAfter: () => editor.isOn && editor.choose(1),
    larger: () => stage.zoom(1.25),
    smaller: () => stage.zoom(0.8),
    fit: () => {
      stage.fit();
      stage.setWindow(...PLAIN_WINDOW);
    },
    peak: () => {
      const peaks = (desk.cine?.events ?? []).map(({ peak_frame: peak }) => peak);
      if (peaks.length) desk.go(peaks.find((peak) => peak > player().frame) ?? peaks[0]);
    },
    nextCine: () => {
      const all = [...root.querySelectorAll("[data-cine]")];
      const here = all.findIndex((one) => one.getAttribute("aria-pressed") === "true");
      if (all.length > 1) desk.open(all[(here + 1) % all.length].dataset.cine);
    },
    theme: changeTheme,
    full: () => (document.fullscreenElement ? document.exitFullscreen() : at("stage").requestFullscreen()),
    help: () => at("help").showModal(),
  };
}

function changeTheme() {
  const choice = document.querySelector("[data-theme-choice]");
  const prefersDark = !choice.value && matchMedia("(prefers-color-scheme: dark)").matches;
  const isDark = getComputedStyle(document.documentElement).colorScheme === "dark" || prefersDark;
  choice.value = isDark ? "light" : "dark";
  choice.dispatchEvent(new Event("change", { bubbles: true }));
}
