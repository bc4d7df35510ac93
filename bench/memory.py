"""Peak memory of listener and worker, their children included, over one long cine: sent by DCMTK's storescu, then analysed.

`python -m bench.memory --gigabytes 2` writes bench/results/memory.json and .svg. The cine is one simulated contraction cycle,
uncompressed, over and over. Idle memory stands beside the peak: the difference is what the cine cost. Pages that processes
share count in each of them, so a sum is an upper bound.
"""

import argparse
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pydicom
from pydicom.uid import UID

from bench.bar_chart import write_bar_chart
from bench.ingest import machine
from service.core.identifiers import derive_uid
from simulator.write import simulate
from tests.durability import processes_of
from tests.running import RunningService, running_service

SENDER = "/usr/bin/storescu"
ROLES = ("listener", "worker", "api", "triton")
#: Worker with its decoders, at 2 GB.
TARGET_WORKER_BYTES = 700_000_000
_CYCLE_FRAMES = 60
_INTERVAL_SECONDS = 0.02


class Watch(threading.Thread):
    """Samples the resident memory of each role's processes; a role is its process and all below it."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        super().__init__(name="watch")
        self.peaks = dict.fromkeys(processes, 0)
        self._processes = processes
        self._is_over = threading.Event()

    def run(self) -> None:
        """Until `stop`."""
        while not self._is_over.wait(_INTERVAL_SECONDS):
            for role, process in self._processes.items():
                self.peaks[role] = max(self.peaks[role], resident_bytes(process))

    def stop(self) -> None:
        """End and wait."""
        self._is_over.set()
        self.join()


def main() -> None:
    """Run, print a table, write JSON and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=0.2, help="size of the cine; the target is meant for 2")
    parser.add_argument("--quick", action="store_true", help="0.05 GB")
    parser.add_argument("--work-dir", type=Path, default=None, help="a folder with room for twice the cine")
    parser.add_argument("--output", type=Path, default=Path("bench/results/memory.json"))
    given = parser.parse_args()
    size = 0.05 if given.quick else given.gigabytes
    with tempfile.TemporaryDirectory(prefix="sonomyo-memory-", dir=given.work_dir) as folder:
        path = make_cine(Path(folder), round(size * 1e9))
        with running_service(Path(folder) / "data") as service:
            report = measure(service, path)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(report, indent=2) + "\n")
    draw(report, given.output.with_suffix(".svg"))


def make_cine(folder: Path, size_bytes: int) -> Path:
    """At least `size_bytes` of uncompressed frames in one instance, written frame by frame."""
    cycle = next(simulate("calf", folder, n=1, seed=7, transfer_syntax="explicit", number_of_frames=_CYCLE_FRAMES))
    dataset = pydicom.dcmread(cycle)
    frames, rows_by_columns = bytes(dataset.PixelData), dataset.Rows * dataset.Columns
    number = -(-size_bytes // rows_by_columns)
    dataset.NumberOfFrames = number
    uid = UID(derive_uid("bench", "memory", number))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.StudyInstanceUID = derive_uid("bench", "memory", "study", number)
    del dataset.PixelData
    path = folder / "long.dcm"
    dataset.save_as(path, enforce_file_format=True)
    total = number * rows_by_columns
    with path.open("ab") as file:
        file.write(b"\xe0\x7f\x10\x00OB\x00\x00" + total.to_bytes(4, "little"))
        for index in range(number):
            start = index % _CYCLE_FRAMES * rows_by_columns
            file.write(frames[start : start + rows_by_columns])
    return path


def measure(service: RunningService, path: Path) -> dict[str, Any]:
    """Idle memory, then the peak until the report is there, which must show the muscle measured."""
    processes = {role: _process(service, role) for role in ROLES}
    idle = {role: resident_bytes(process) for role, process in processes.items()}
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    with _watching(processes) as watch:
        begun = time.monotonic()
        send(service, path)
        sent = time.monotonic() - begun
        service.complete(str(dataset.StudyInstanceUID))
        report = wait_for_report(service, str(dataset.StudyInstanceUID))
        seconds = time.monotonic() - begun
    findings = [finding["name"] for finding in report["findings"]]
    assert "pennation_angle" in findings, f"the cine was not measured: {findings}"
    for role in ROLES:
        print(f"{role:9} idle {idle[role] / 1e6:6.0f} MB, peak {watch.peaks[role] / 1e6:6.0f} MB", flush=True)
    return {
        "machine": machine(),
        "cine": {"bytes": path.stat().st_size, "frames": int(dataset.NumberOfFrames)},
        "seconds": {"send": sent, "until_the_report": seconds},
        "idle_bytes": idle,
        "peak_bytes": watch.peaks,
        "kernel_peak_bytes": {role: _kernel_peaks(process) for role, process in processes.items()},
        "target_worker_bytes": TARGET_WORKER_BYTES,
        "worker_within_target": watch.peaks["worker"] <= TARGET_WORKER_BYTES,
        "load_average": os.getloadavg(),
    }


def send(service: RunningService, path: Path) -> None:
    """One association, one instance, nothing converted."""
    command = [SENDER, "-R", "--max-pdu", "131072", "-aec", "SONOMYO", "127.0.0.1", str(service.dicom_port), str(path)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "TCP_NODELAY": "1"})


def wait_for_report(service: RunningService, study: str) -> dict[str, Any]:
    """Asks once a second, for the questions take processor time too; gives up after an hour."""
    deadline = time.monotonic() + 3600
    while service.api.get(f"/api/v1/studies/{study}/report").status_code == httpx2.codes.NOT_FOUND:
        assert time.monotonic() < deadline, "no report within an hour"
        time.sleep(1)
    return service.report(study)


def resident_bytes(process: psutil.Process) -> int:
    """Of a process and all below it; 0 for one that has ended."""
    total = 0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        try:
            total += int(member.memory_info().rss)
        except psutil.NoSuchProcess:
            continue
    return total


def draw(report: dict[str, Any], path: Path) -> None:
    """Idle and peak of each role."""
    groups = {
        role: {"idle": report["idle_bytes"][role] / 1e6, "peak": report["peak_bytes"][role] / 1e6}
        for role in ("listener", "worker")
    }
    # In the worker's own group, for each group has a scale of its own.
    groups["worker"]["target"] = TARGET_WORKER_BYTES / 1e6
    title = f"Resident memory, children included, over a cine of {report['cine']['bytes'] / 1e9:.1f} GB"
    write_bar_chart(path, title=title, groups=groups, unit="MB")


@contextmanager
def _watching(processes: dict[str, psutil.Process]) -> Iterator[Watch]:
    watch = Watch(processes)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def _process(service: RunningService, role: str) -> psutil.Process:
    found = processes_of(service, role)
    assert found, f"there is no {role}"
    return found[0]


def _kernel_peaks(process: psutil.Process) -> dict[str, int]:
    """What the kernel kept as the most that each process of a role had (VmHWM): no sample misses it."""
    peaks = {}
    for member in [process, *process.children(recursive=True)]:
        status = Path(f"/proc/{member.pid}/status").read_text()
        words = next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()
        peaks[f"{member.name()}-{member.pid}"] = int(words[1]) << 10
    return peaks


if __name__ == "__main__":
    main()
