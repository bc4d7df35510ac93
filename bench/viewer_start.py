"""How soon a report's first frame is seen in a browser while a worker analyses: `python -m bench.viewer_start`.

`sonomyo up` runs as a user starts it, one study is analysed over and over, and Chromium, drawing by the processor, opens the page
of another one of 400 frames, on the same two cores. Two moments after the navigation: the first frame is painted (the page's own
picture, by the browser's Element Timing), and the stage has it, so that play starts at once (a mark of the viewer). The floor in
the same rounds is a page that is nothing but one JPEG of the same server, for the same person.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import pydicom

from bench.ingest import machine
from bench.live import analysing
from bench.viewer import FRAMES, TARGET_FIRST_FRAME_P95, store
from simulator.write import simulate
from tests.browser import Tab, tab
from tests.running import RunningService, running_service

_FLOOR, _EMPTY, _FULL = "floor: one JPEG as a page", "empty cache", "full cache"
_PAUSE_MILLISECONDS = (100, 600)
#: Milliseconds since the navigation; nothing is polled, which would take processor time from what is measured.
_SEEN = """() => {
  const at = ([type, name]) => new Promise((told) => new PerformanceObserver((list) => {
    const found = list.getEntries().find((one) => (one.identifier ?? one.name) === name);
    if (found) told(found.startTime);
  }).observe({ type, buffered: true }));
  const [painted, ready] = [["element", "first-frame"], ["mark", "sonomyo-ready"]].map(at);
  const first = Promise.race([painted, ready]); // where the stage is first, the page's own picture is never painted
  return Promise.all([first, ready]).then(([one, other]) => [Math.min(one, other), other]);
}"""
_PAINTED = "() => performance.getEntriesByType('paint').at(-1)?.startTime"


def main() -> None:
    """Run, print, write bench/results/viewer_start.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="ten rounds")
    parser.add_argument("--output", type=Path, default=Path("bench/results/viewer_start.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sonomyo-viewer-start-") as folder:
        found = run(Path(folder), rounds=10 if given.quick else given.rounds)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


def run(folder: Path, *, rounds: int) -> dict[str, Any]:
    """One study is read, another one is analysed over and over."""
    read, analysed = simulate("calf", folder / "cines", n=2, seed=1, transfer_syntax="jpeg", number_of_frames=FRAMES)
    before = os.getloadavg()
    with running_service(folder / "service", stable_age_seconds="3600") as service:
        store(service, read)
        busy = store(service, analysed)
        with analysing(service, [busy]) as done, tab(width=1280, height=800) as opened:
            found = opened_again_and_again(service, opened, read, rounds)
            analysed_meanwhile = done[0]
        return {
            "machine": machine(),
            "frames": FRAMES,
            "rounds": rounds,
            "target_first_frame_p95_milliseconds": TARGET_FIRST_FRAME_P95,
            "milliseconds": found,
            "cines_analysed_meanwhile": analysed_meanwhile,
            "load_average": {"before": before, "after": os.getloadavg()},
        }


def opened_again_and_again(service: RunningService, opened: Tab, cine: Path, rounds: int) -> Mapping[str, Any]:
    """Floor, empty cache and full cache take turns, so that a disturbance meets all three; the first round does not count."""
    link = service.api.post("/api/v1/sign-in-links", json={"role": "viewer"}).raise_for_status().json()["url"]
    opened.page.goto(link)
    page, jpeg = addresses(service, cine)
    browser = opened.page.context.new_cdp_session(opened.page)
    pauses = np.random.default_rng(1)
    seen: dict[str, list[tuple[float, float]]] = {_FLOOR: [], _EMPTY: [], _FULL: []}
    for _ in range(rounds + 1):
        for name, taken in seen.items():
            opened.page.goto("about:blank")
            opened.page.wait_for_timeout(pauses.uniform(*_PAUSE_MILLISECONDS))
            if name != _FULL:
                browser.send("Network.clearBrowserCache")
            opened.page.goto(jpeg if name == _FLOOR else page, wait_until="load" if name == _FLOOR else "commit")
            taken.append(painted(opened) if name == _FLOOR else tuple(opened.page.evaluate(_SEEN)))
    floor = median(first for first, _ in seen[_FLOOR][1:])
    return {name: told(taken[1:], floor) for name, taken in seen.items()}


def addresses(service: RunningService, cine: Path) -> tuple[str, str]:
    """Of the report's page, and of a frame alone."""
    dataset = pydicom.dcmread(cine, stop_before_pixels=True)
    study, host = dataset.StudyInstanceUID, service.api.base_url
    instance = f"series/{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}"
    return f"{host}/studies/{study}", f"{host}/dicom-web/studies/{study}/{instance}/frames/1/rendered"


def painted(opened: Tab) -> tuple[float, float]:
    """When a page without scripts was."""
    at = float(opened.wait(f"({_PAINTED})()"))
    return at, at


def told(seen: list[tuple[float, float]], floor: float) -> dict[str, dict[str, float]]:
    """Of both moments, with the ratio of medians to the floor."""
    moments = zip(("first_frame", "ready_to_play"), zip(*seen, strict=True), strict=True)
    return {name: {**summary(taken), "ratio_of_medians": round(median(taken) / floor, 1)} for name, taken in moments}


def summary(milliseconds: tuple[float, ...]) -> dict[str, float]:
    """As the other benchmarks tell it."""
    p95 = quantiles(milliseconds, n=20)[-1]
    return {"median": round(median(milliseconds)), "p95": round(p95), "most": round(max(milliseconds))}


if __name__ == "__main__":
    main()
