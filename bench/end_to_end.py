"""From the claim of an analysis to its commit, in the real service, against one bare loop on the same cores.

`python -m bench.end_to_end` writes bench/results/end_to_end.json and .svg. `sonomyo up` runs with everything in it; claim and
commit are what PostgreSQL recorded of the worker's job. Service and loop take turns in the same minutes, both warm, and must
come to the same numbers. Where wall time is shared with strangers, the processor seconds of each side say more.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import psycopg
import pydicom

from bench.analysis_profile import profile_analysis
from bench.bar_chart import write_bar_chart
from bench.bare_loop import MODEL
from bench.ingest import machine
from service.adapters.jobs import ANALYSE_INSTANCE
from service.embedded.postgres import EmbeddedPostgres
from simulator.write import simulate
from tests.running import RunningService, poll, running_service

FRAMES = (60, 600)
#: At 600 frames.
TARGET_RATIO = 1.25
#: PostgreSQL keeps the times; looking for the end oftener would only take processor time from what is measured.
_LOOK_SECONDS = 0.3
_NEWEST_ANALYSIS = """
    SELECT j.id, j.status::text,
        extract(epoch FROM max(e.at) FILTER (WHERE e.type = 'succeeded') - max(e.at) FILTER (WHERE e.type = 'started'))
    FROM procrastinate_jobs j LEFT JOIN procrastinate_events e ON e.job_id = j.id
    WHERE j.task_name = %s GROUP BY j.id ORDER BY j.id DESC LIMIT 1
"""
_UNFINISHED = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing') AND scheduled_at IS NULL"


def main() -> None:
    """Run all, print a table, write JSON and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, nargs="*", default=list(FRAMES))
    parser.add_argument("--quick", action="store_true", help="60 frames, two rounds")
    parser.add_argument("--output", type=Path, default=Path("bench/results/end_to_end.json"))
    given = parser.parse_args()
    frames, rounds = ([60], 2) if given.quick else (given.frames, given.rounds)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="sonomyo-end-to-end-") as folder, running_service(Path(folder) / "data") as service:
        for number in frames:
            results.append(run(service, Path(folder), number, rounds=rounds))
            write(results, given.output, rounds=rounds)


def write(results: Sequence[Mapping[str, Any]], path: Path, *, rounds: int) -> None:
    """What there is so far: a long run that is cut off leaves its first cines."""
    report = {
        "machine": machine(),
        "weights_sha256": hashlib.sha256(MODEL.read_bytes()).hexdigest(),
        "rounds": rounds,
        "target_ratio_at_600_frames": TARGET_RATIO,
        "cines": results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    draw(results, path.with_suffix(".svg"))


def run(service: RunningService, folder: Path, number_of_frames: int, *, rounds: int) -> dict[str, Any]:
    """All rounds of one cine, service and loop taking turns, then the profile."""
    path = next(simulate("calf", folder, n=1, seed=7, transfer_syntax="jpeg", number_of_frames=number_of_frames))
    study = upload(service, path)
    ours: list[dict[str, Any]] = []
    bare: list[dict[str, Any]] = []
    with bare_loop(path) as (runtime, run_bare):
        run_bare()
        for _ in range(rounds):
            bare.append(run_bare())
            ours.append(analyse_again(service, study))
    profile = profile_analysis(service, study)
    is_equal = profile.pop("numbers") == bare[-1]["numbers"]
    result = {
        "frames": number_of_frames,
        "load_average": os.getloadavg(),
        "service": {**_summary(ours), "processor_seconds_by_role": ours[-1]["roles"]},
        "bare_loop": {**_summary(bare), **runtime, "parts": bare[-1]["parts"]},
        "ratio": _median(ours, "seconds") / _median(bare, "seconds"),
        "ratio_to_the_network_alone": _median(ours, "seconds") / bare[-1]["parts"]["infer"],
        "ratio_of_processor_seconds": _median(ours, "processor_seconds") / _median(bare, "processor_seconds"),
        "same_numbers": is_equal,
        "profile": profile,
    }
    _print(result)
    return result


def upload(service: RunningService, path: Path) -> str:
    """Store it over REST and wait for its first report; gives the study's UID."""
    content = {"Content-Type": "application/dicom"}
    service.api.post("/api/v1/studies", content=path.read_bytes(), headers=content).raise_for_status()
    study = str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID)
    service.complete(study)
    service.report(study, timeout_seconds=300)
    return study


def analyse_again(service: RunningService, study: str) -> dict[str, Any]:
    """Seconds between the claim of the job and its end, and the processor seconds of every process of the service."""
    with psycopg.connect(database_url(service), autocommit=True) as connection:
        poll(lambda: _count(connection) == 0, timeout_seconds=60, what="an idle worker")
        before, _, _ = _newest(connection)
        used = processor_seconds(service)
        service.api.post(f"/api/v1/studies/{study}/reanalyse").raise_for_status()

        while (newest := _newest(connection))[0] == before or newest[2] is None:
            assert newest[1] != "failed", "the analysis failed"
            time.sleep(_LOOK_SECONDS)
        spent = processor_seconds(service)
        roles = {role: seconds - used.get(role, 0.0) for role, seconds in spent.items()}
        return {"seconds": newest[2], "processor_seconds": sum(roles.values()), "roles": roles}


def database_url(service: RunningService) -> str:
    """Of its embedded PostgreSQL."""
    return EmbeddedPostgres(folder=service.data_dir / "postgres").url()


def processor_seconds(service: RunningService) -> Mapping[str, float]:
    """User and system time of everything that runs for the service, by role."""
    root = psutil.Process(service.process.pid)
    total: defaultdict[str, float] = defaultdict(float)
    for process in [root, *root.children(recursive=True)]:
        try:
            used = process.cpu_times()
            total[_role(process.cmdline())] += used.user + used.system
        except psutil.NoSuchProcess:
            continue
    return total


@contextmanager
def bare_loop(path: Path) -> Iterator[tuple[dict[str, Any], Any]]:
    """The warm loop: what it runs on, and a function that runs it once."""
    arguments = [sys.executable, "-m", "bench.bare_loop", str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def run_once() -> dict[str, Any]:
            stdin.write("run\n")
            stdin.flush()
            answer: dict[str, Any] = json.loads(stdout.readline())
            return answer

        yield json.loads(stdout.readline()), run_once
        stdin.close()


def draw(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Milliseconds a frame; less is better."""
    groups = {
        f"{result['frames']} frames, ratio {result['ratio']:.2f}": {
            "Sonomyo, claim to commit": 1e3 * result["service"]["seconds"]["median"] / result["frames"],
            "bare loop": 1e3 * result["bare_loop"]["seconds"]["median"] / result["frames"],
        }
        for result in results
    }
    write_bar_chart(path, title="Muscle architecture of a 640x480 JPEG cine, time a frame", groups=groups, unit="ms")


def _count(connection: "psycopg.Connection[Any]") -> int:
    row = connection.execute(_UNFINISHED).fetchone()
    assert row is not None
    return int(row[0])


def _newest(connection: "psycopg.Connection[Any]") -> tuple[int, str, float | None]:
    row = connection.execute(_NEWEST_ANALYSIS, [ANALYSE_INSTANCE]).fetchone()
    assert row is not None
    return int(row[0]), str(row[1]), None if row[2] is None else float(row[2])


def _role(command: Sequence[str]) -> str:
    line, program = " ".join(command), command[0] if command else ""
    if "decoder_process" in line:
        return "decoder"
    if "triton" in program:
        return "triton"
    if "postgres" in program:
        return "postgres"
    return command[-1] if "service" in command else "other"


def _median(rounds: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(median(each[name] for each in rounds))


def _summary(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    seconds = sorted(each["seconds"] for each in rounds)
    return {
        "seconds": {"median": median(seconds), "least": seconds[0], "most": seconds[-1]},
        "processor_seconds": _median(rounds, "processor_seconds"),
    }


def _print(result: Mapping[str, Any]) -> None:
    ours, bare = result["service"], result["bare_loop"]
    print(
        f"{result['frames']:4} frames: {ours['seconds']['median']:.2f} s, bare {bare['seconds']['median']:.2f} s,"
        f" ratio {result['ratio']:.2f}; processor {ours['processor_seconds']:.2f} s, bare {bare['processor_seconds']:.2f} s,"
        f" ratio {result['ratio_of_processor_seconds']:.2f}; same numbers: {result['same_numbers']};"
        f" load {result['load_average'][0]:.1f}",
        flush=True,
    )
    for name, parts in (("service", result["profile"]["seconds"]), ("bare", bare["parts"])):
        print(f"    {name}: " + ", ".join(f"{part} {seconds:.2f} s" for part, seconds in parts.items()))


if __name__ == "__main__":
    main()
