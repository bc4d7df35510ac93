"""Whether a cine of 400 frames stutters in a browser while a worker analyses: `python -m bench.viewer_playing`.

`sonomyo up` runs as a user starts it, and Chromium, drawing by the processor, opens a report with an empty cache and plays the
cine through once at its own rate, overlays drawn, as soon as its first frame is there. Three ways: with nothing else to do (the
floor); beside a worker that analyses another cine over and over, on the same processors; and beside that worker with the browser
on one processor and all of the service on another, as a radiologist's screen and a server are two machines.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from bench.ingest import machine
from bench.live import analysing
from bench.viewer import FRAMES, store
from simulator.write import simulate
from tests.browser import Tab, tab
from tests.running import RunningService, running_service

#: Not the very last one, after which the cine begins again.
_LAST = FRAMES - 5
#: Seconds of the screen's clock at which another frame is there, until it has been played through.
_WATCH = f"""() => {{
  const view = document.querySelector("[data-view]"), shown = [];
  window.played = new Promise((told) => {{
    let last = null;
    const look = () => {{
      const frame = Number(view.dataset.shownFrame);
      if (frame !== last) shown.push([performance.now() / 1000, frame]);
      last = frame;
      if (frame < {_LAST}) requestAnimationFrame(look);
      else told(shown);
    }};
    look();
  }});
}}"""


def main() -> None:
    """Run, print, write bench/results/viewer_playing.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="times that the cine is played through in each way, 16 s")
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--output", type=Path, default=Path("bench/results/viewer_playing.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sonomyo-viewer-playing-") as folder:
        found = run(Path(folder), rounds=1 if given.quick else given.rounds)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


def run(folder: Path, *, rounds: int) -> dict[str, Any]:
    """On all processors first, then with one for the service and one for the browser."""
    cines = list(simulate("calf", folder / "cines", n=2, seed=1, transfer_syntax="jpeg", number_of_frames=FRAMES))
    before, (one, *others) = os.getloadavg(), sorted(os.sched_getaffinity(0))
    found = {
        **on_the_same_processors(folder / "same", cines, rounds),
        **({"beside_a_busy_worker_each_on_its_own": apart(folder / "apart", cines, rounds, one, others[0])} if others else {}),
    }
    return {
        "machine": machine(),
        "frames": FRAMES,
        "rounds": rounds,
        **found,
        "load_average": {"before": before, "after": os.getloadavg()},
    }


def on_the_same_processors(folder: Path, cines: Sequence[Path], rounds: int) -> dict[str, Any]:
    """Without the worker's work, and with it."""
    with running_service(folder, stable_age_seconds="3600") as service:
        read, busy = (store(service, cine) for cine in cines)
        return {"alone": played(service, read, None, rounds), "beside_a_busy_worker": played(service, read, busy, rounds)}


def apart(folder: Path, cines: Sequence[Path], rounds: int, server: int, screen: int) -> dict[str, Any]:
    """`server` and `screen` are processors."""
    with on_processor(server), running_service(folder, stable_age_seconds="3600") as service:
        read, busy = (store(service, cine) for cine in cines)
        with on_processor(screen):
            return played(service, read, busy, rounds)


@contextmanager
def on_processor(number: int) -> Iterator[None]:
    """What is started meanwhile stays on it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def played(service: RunningService, read: str, busy: str | None, rounds: int) -> dict[str, Any]:
    """Each time with an empty cache; the first time does not count."""
    link = service.api.post("/api/v1/sign-in-links", json={"role": "viewer"}).raise_for_status().json()["url"]
    with analysing(service, [busy]) if busy else nullcontext([0]) as done, tab(width=1280, height=900) as opened:
        opened.page.goto(link)
        shown = [once(opened, f"{service.api.base_url}/studies/{read}") for _ in range(rounds + 1)]
        return {"each": [smoothness(one) for one in shown[1:]], "cines_analysed_meanwhile": done[0]}


def once(opened: Tab, address: str) -> list[tuple[float, int]]:
    """Played as soon as it can be: seconds and the frame that appeared then."""
    opened.page.context.new_cdp_session(opened.page).send("Network.clearBrowserCache")
    opened.page.goto(address)
    opened.wait("performance.getEntriesByName('sonomyo-ready').length > 0", timeout_seconds=60)
    opened.page.keyboard.press("Home")
    opened.wait("document.querySelector('[data-view]').dataset.shownFrame === '1'")
    opened.page.evaluate(_WATCH)
    opened.page.locator("[data-play]").first.click()
    return [(seconds, int(frame)) for seconds, frame in opened.page.evaluate("window.played")]


def smoothness(shown: Sequence[tuple[float, int]]) -> dict[str, Any]:
    """What was left out, and how long one picture stood; the wait for the first click is none."""
    moving = shown[1:]
    steps = [later - sooner for (_, sooner), (_, later) in pairwise(moving)]
    waits = [later - sooner for (sooner, _), (later, _) in pairwise(moving)]
    late = [(frame, round(wait * 1000)) for wait, (_, frame) in zip(waits, moving, strict=False) if wait > 2.5 * median(waits)]
    return {
        "frames_shown": len(shown),
        "frames_left_out": sum(steps) - len(steps),
        "milliseconds_between_frames_median": round(median(waits) * 1000, 1),
        "milliseconds_between_frames_most": round(max(waits) * 1000, 1),
        "stood_longer_frame_and_milliseconds": late,
    }


if __name__ == "__main__":
    main()
