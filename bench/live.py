"""Live guidance in a real browser while a study is analysed beside it: `python -m bench.live`.

A stored examination is replayed at 15 frames a second on `/live`; measured is the time from a frame's leaving the page to the
answer there, decoding included. The floor is the same without any other work.
"""

import argparse
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom

from bench.ingest import machine
from simulator.write import simulate
from tests.browser import Page, browser
from tests.e2e.sending import send, study_of
from tests.running import RunningService, running_service

SEED = 1
RATE = 15
_PICTURE_SECONDS = 12


def main() -> None:
    """Both ways, and a picture; prints a line, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("bench/results/live.json"))
    parser.add_argument("--picture", type=Path, help="a PNG of the page while it runs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sonomyo-live-") as folder:
        found = run(Path(folder), given.picture)
    result = {"machine": machine(), "frames_a_second": RATE, **found}
    given.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def run(folder: Path, picture: Path | None) -> dict[str, Any]:
    """Alone, then beside one study that is analysed over and over: of calves, and of a wrist, which the same network draws."""
    (examination,) = simulate("wrist", folder / "wrist", seed=SEED, transfer_syntax="jpeg")
    calves = list(simulate("calf", folder / "calf", n=1, seed=1, transfer_syntax="jpeg", number_of_frames=200))
    with running_service(folder / "service", stable_age_seconds="3600") as service, browser(folder / "browser") as page:
        for path in (examination, *calves):
            send(service, path)
        link = service.api.post("/api/v1/sign-in-links", json={"role": "viewer"}).json()["url"]
        page.open(link)
        page.wait("document.querySelector('h1')?.textContent === 'Worklist'")
        wait_for_analyses(service, [study_of(path) for path in (examination, *calves)])
        alone = replayed(page, service, examination, picture)
        beside = {}
        for name, paths in (("analyses", calves), ("wrist_analyses", [examination])):
            with analysing(service, [study_of(path) for path in paths]) as done:
                found = replayed(page, service, examination, None)
            beside[f"beside_{name}"] = {**found, "cines_analysed_meanwhile": done[0]}
        return {"alone": alone, **beside, "load": os.getloadavg()}


def replayed(page: Page, service: RunningService, examination: Path, picture: Path | None) -> dict[str, Any]:
    """The whole examination; figures as the page tells them."""
    cine = pydicom.dcmread(examination, stop_before_pixels=True)
    names = f"study={cine.StudyInstanceUID}&series={cine.SeriesInstanceUID}&instance={cine.SOPInstanceUID}"
    page.open(f"{service.api.base_url}/live?{names}&start=1")
    page.wait("document.body?.dataset.state === 'running'", timeout_seconds=120)
    if picture is not None:
        page.wait(f"Number(document.body.dataset.answers) > {_PICTURE_SECONDS * RATE}", timeout_seconds=120)
        page.screenshot(picture)
    page.wait("document.body.dataset.state === 'ended'", timeout_seconds=180)
    told: dict[str, str] = page.evaluate("Object.assign({}, document.body.dataset)")
    return {
        "frames": int(cine.NumberOfFrames),
        "answers": int(float(told["answers"])),
        "dropped": int(float(told["dropped"])),
        "milliseconds_median": float(told["p50"]),
        "milliseconds_p95": float(told["p95"]),
        "answers_a_second": float(told["rate"]),
        # Of the service's own time, each by itself; the rest is the browser's and the socket's.
        "milliseconds_p95_of_parts": json.loads(told["parts"]),
    }


@contextmanager
def analysing(service: RunningService, studies: list[str]) -> Iterator[list[int]]:
    """Studies analysed over and over; the list's one entry counts the cines."""
    stop, done = threading.Event(), [0]

    def keep_busy() -> None:
        while not stop.is_set():
            for study in studies:
                service.api.post(f"/api/v1/studies/{study}/reanalyse").raise_for_status()
            wait_for_analyses(service, studies)
            done[0] += len(studies)

    thread = threading.Thread(target=keep_busy)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


def wait_for_analyses(service: RunningService, studies: list[str]) -> None:
    """Until none is queued."""
    for study in studies:
        while any(one["state"] == "queued" for one in service.api.get(f"/api/v1/studies/{study}").json()["analyses"]):
            threading.Event().wait(0.2)


if __name__ == "__main__":
    main()
