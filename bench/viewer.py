"""How quickly the pages of a report answer twenty people while a worker analyses: `python -m bench.viewer`.

`sonomyo up` runs as a user starts it. Each person asks over HTTP, one request after the other, for a report: the page, the JSON,
the frames that a viewer begins with; first all of the same study, then each of a study of their own. Two floors stand beside
these in the same minutes: a static file of the same server, and the report's bytes from Starlette and uvicorn alone
(`bench/bare_answer.py`).
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx2
import numpy as np
import pydicom

from bench.bare_answer import bare_answer
from bench.ingest import machine
from bench.live import analysing
from bench.worklist import fetch
from service.core.identifiers import derive_uid
from simulator.write import simulate
from tests.running import RunningService, running_service

USERS = 20
FRAMES = 400
TARGET_FIRST_FRAME_P95, TARGET_REPORT_P99 = 500.0, 100.0
#: Mean pause before a person opens the next report, from 0 to twice as long, so that nobody keeps step: with equal pauses after a
#: common start all twenty would ask for the same thing in the same moment, for ever. The targets say twenty users and
#: not how fast they read, so that both are told.
_PAUSES = {"reading": 5.0, "never_reading": 0.5}
_FLOOR, _BARE = "floor: static file", "floor: the report's bytes, bare"


def main() -> None:
    """Run, print, write bench/results/viewer.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="of each of twenty people")
    parser.add_argument("--studies", type=int, default=USERS, help="of 400 frames each, where each person reads another one")
    parser.add_argument("--quick", action="store_true", help="five rounds, two studies")
    parser.add_argument("--output", type=Path, default=Path("bench/results/viewer.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sonomyo-viewer-") as folder:
        rounds, studies = (5, 2) if given.quick else (given.rounds, given.studies)
        found = run(Path(folder), rounds=rounds, studies=studies)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


def run(folder: Path, *, rounds: int, studies: int) -> dict[str, Any]:
    """Studies are read, another one is analysed over and over."""
    read, analysed = simulate("calf", folder / "cines", n=2, seed=1, transfer_syntax="jpeg", number_of_frames=FRAMES)
    before = os.getloadavg()
    with running_service(folder / "service", stable_age_seconds="3600") as service:
        study, busy = store(service, read), store(service, analysed)
        others = [another(read, number) for number in range(studies - 1)]
        with ThreadPoolExecutor(2) as uploads:
            stored = list(uploads.map(partial(store, service), others))
        each = [addresses_of(service, uid, path) for uid, path in zip((study, *stored), (read, *others), strict=True)]
        content = service.api.get(each[0]["report, JSON"]).raise_for_status().content
        with analysing(service, [busy]) as done, bare_answer(content, folder) as bare:
            each = [{_BARE: bare, **addresses} for addresses in each]
            loads = [(how, each[:1]) for how in _PAUSES] + [(how, each) for how in _PAUSES]
            beside: dict[str, Any] = {"one_study": {}, "studies_of_their_own": {}}
            for how, read_by_all in loads:
                before_it = done[0]
                told = measured(service, read_by_all, rounds, _PAUSES[how])
                told["cines_analysed_meanwhile"] = done[0] - before_it
                beside["one_study" if read_by_all is not each else "studies_of_their_own"][how] = told
        return {
            "machine": machine(),
            "users": USERS,
            "studies_of_their_own": len(each),
            "frames_of_each": FRAMES,
            "rounds_of_each": rounds,
            "target_milliseconds": {"first frame p95": TARGET_FIRST_FRAME_P95, "report p99": TARGET_REPORT_P99},
            "mean_pause_seconds": _PAUSES,
            "beside_a_busy_worker": beside,
            "load_average": {"before": before, "after": os.getloadavg()},
        }


def store(service: RunningService, path: Path) -> str:
    """Upload, and wait for the report; gives the study's UID."""
    headers = {"Content-Type": "application/dicom"}
    service.api.post("/api/v1/studies", content=path.read_bytes(), headers=headers).raise_for_status()
    study = str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID)
    service.complete(study)
    service.report(study, timeout_seconds=300)
    return study


def another(path: Path, number: int) -> Path:
    """The same pictures as a study of somebody else: what is read lies elsewhere on the disk and in every cache."""
    cine = pydicom.dcmread(path)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(cine, keyword, derive_uid(getattr(cine, keyword), f"reader {number}"))
    cine.file_meta.MediaStorageSOPInstanceUID = cine.SOPInstanceUID
    cine.PatientID, cine.AccessionNumber = f"SIM-READER-{number}", f"READER{number}"
    made = path.with_name(f"{path.stem}-{number}.dcm")
    cine.save_as(made)
    return made


def addresses_of(service: RunningService, study: str, path: Path) -> Mapping[str, str]:
    """Of what a viewer asks first."""
    cine = f"/studies/{study}/cines/{pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID}"
    report = service.report(study)["report_id"]
    return {
        _FLOOR: "/static/sonomyo.css",
        "report page": f"/studies/{study}",
        "report, JSON": f"/api/v1/reports/{report}",
        "time and scale of the cine": cine,
        "first frames": f"{cine}/frames/1-16",
    }


def measured(service: RunningService, studies: Sequence[Mapping[str, str]], rounds: int, mean_pause: float) -> dict[str, Any]:
    """Twenty people, each with a session and a connection of their own; milliseconds. They share the studies out in turn."""
    first: dict[str, list[float]] = {name: [] for name in studies[0]}
    seconds: dict[str, list[float]] = {name: [] for name in studies[0]}
    everybody_is_here = threading.Barrier(USERS)

    def read(number: int) -> None:
        random, addresses = np.random.default_rng(number), studies[number % len(studies)]
        with person(service) as client:
            for name, address in addresses.items():
                first[name].append(timed(partial(fetch, client, address)))
            everybody_is_here.wait(timeout=120)
            for _round in range(rounds):
                time.sleep(random.uniform(0, 2 * mean_pause))
                for name, address in addresses.items():
                    seconds[name].append(timed(partial(fetch, client, address)))

    with ThreadPoolExecutor(USERS) as people:
        list(people.map(read, range(USERS)))
    found = {name: summary(taken) for name, taken in seconds.items()}
    least, bare = found[_FLOOR]["median"], found[_BARE]["p99"]
    ratios = {"report_to_bare_p99": round(found["report, JSON"]["p99"] / bare, 1)}
    told = {name: {**one, "ratio_of_medians": round(one["median"] / least, 1)} for name, one in found.items()}
    opened = {
        name: {"median": round(median(taken) * 1000, 1), "most": round(max(taken) * 1000, 1)} for name, taken in first.items()
    }
    return {"milliseconds": told, "of_the_first_round": opened, **ratios}


@contextmanager
def person(service: RunningService) -> Iterator[httpx2.Client]:
    """A client who has followed a one-time link."""
    link = service.api.post("/api/v1/sign-in-links", json={"role": "viewer"}).raise_for_status().json()["url"]
    with httpx2.Client(base_url=service.api.base_url, timeout=60, follow_redirects=True) as client:
        client.get(link).raise_for_status()
        yield client


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def summary(seconds: list[float]) -> dict[str, float]:
    """In milliseconds."""
    cuts = quantiles(seconds, n=100)
    return {
        "median": round(median(seconds) * 1000, 1),
        "p95": round(cuts[94] * 1000, 1),
        "p99": round(cuts[98] * 1000, 1),
        "most": round(max(seconds) * 1000, 1),
    }


if __name__ == "__main__":
    main()
