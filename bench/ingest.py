"""How fast instances are taken: ours against Orthanc and storescp, the same sender in the same run, over a raw floor.

`python -m bench.ingest` writes bench/results/ingest.json and .svg. Each server is started fresh for each measurement, what
the one before left unwritten is written first, contenders take turns, another first each round, and medians are given with the
least and most of the rounds. What a load left on the disk is removed after its last round, and forgotten for a while before the
next: ext4 passes over each inode deleted within the last minute when it looks for a free one, which makes a new file cost up to a
millisecond more for whoever keeps many in one folder.
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage, generate_uid

from bench.bar_chart import write_bar_chart
from bench.ingest_contenders import (
    Contender,
    orthanc,
    peak_resident_bytes,
    processor_seconds,
    sonomyo,
    storescp,
    write_and_sync,
)


class Start(Protocol):
    """Starts a server in a folder."""

    def __call__(self, folder: Path) -> AbstractContextManager[Contender]:
        """Leave the context to stop it."""


CONTENDERS: dict[str, Start] = {"Sonomyo": sonomyo, "Orthanc": orthanc, "storescp (not durable)": storescp}
FLOOR = "write and sync"
#: Longer than the minute for which `recently_deleted` of ext4 keeps a freed inode from use.
FORGETTING_SECONDS = 75.0


@dataclass(frozen=True)
class Load:
    """What is sent: frames of 8 bits, so many instances an association."""

    name: str
    frames: int
    rows: int
    columns: int
    instances: int
    associations: int


LOADS = (
    Load("0.5 MB, 1 association", 2, 500, 500, 300, 1),
    Load("0.5 MB, 4 associations", 2, 500, 500, 150, 4),
    Load("18 MB, 1 association", 60, 480, 640, 12, 1),
    Load("18 MB, 4 associations", 60, 480, 640, 6, 4),
)


@dataclass(frozen=True)
class Measured:
    """One round of one load at one server."""

    seconds: float
    peak_resident_bytes: int = 0
    processor_seconds: float = 0.0


def main() -> None:
    """Run all, print a table, write JSON and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="words that the names of contenders must contain")
    parser.add_argument("--loads", nargs="*", default=[], help="words that the names of loads must contain")
    parser.add_argument("--work-dir", type=Path, default=None, help="a folder on the disk to measure")
    parser.add_argument("--output", type=Path, default=Path("bench/results/ingest.json"))
    given = parser.parse_args()
    contenders = {name: start for name, start in CONTENDERS.items() if all(word in name for word in given.only)}
    loads = [load for load in LOADS if all(word in load.name for word in given.loads)]
    with tempfile.TemporaryDirectory(prefix="sonomyo-ingest-", dir=given.work_dir) as folder:
        results = []
        for number, load in enumerate(loads):
            if number:
                time.sleep(FORGETTING_SECONDS)
            with tempfile.TemporaryDirectory(dir=folder) as own:
                results.append(run_load(load, contenders, Path(own), rounds=given.rounds))
    report = {"machine": machine(), "sender": sender(), "rounds": given.rounds, "loads": results}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(report, indent=2) + "\n")
    draw(results, given.output.with_suffix(".svg"))


def run_load(load: Load, contenders: dict[str, Start], folder: Path, *, rounds: int) -> dict[str, Any]:
    """All rounds of one load, contenders taking turns."""
    corpora = [make_corpus(Path(tempfile.mkdtemp(dir=folder)), load) for index in range(load.associations)]
    size = sum(path.stat().st_size for corpus in corpora for path in corpus)
    measured: dict[str, list[Measured]] = {name: [] for name in (*contenders, FLOOR)}
    names = list(contenders)
    for number in range(rounds):
        turn = number % len(names) if names else 0
        for name in names[turn:] + names[:turn]:
            measured[name].append(measure(contenders[name], corpora, Path(tempfile.mkdtemp(dir=folder))))
        os.sync()
        measured[FLOOR].append(Measured(write_and_sync(Path(tempfile.mkdtemp(dir=folder)), corpora)))
    count = load.instances * load.associations
    rows: dict[str, dict[str, Any]] = {}
    for name, all_rounds in measured.items():
        seconds = sorted(each.seconds for each in all_rounds)
        row = {
            "instances_per_second": count / median(seconds),
            "megabytes_per_second": size / 1e6 / median(seconds),
            "seconds": {"median": median(seconds), "least": seconds[0], "most": seconds[-1]},
            "peak_resident_megabytes": max(each.peak_resident_bytes for each in all_rounds) / 1e6,
            "processor_milliseconds_per_instance": 1e3 * median(each.processor_seconds for each in all_rounds) / count,
        }
        rows[name] = row
        print(
            f"{load.name:24} {name:24} {row['instances_per_second']:8.0f}/s {row['megabytes_per_second']:8.0f} MB/s"
            f"  {seconds[0]:.2f} to {seconds[-1]:.2f} s  {row['peak_resident_megabytes']:6.0f} MB"
            f"  {row['processor_milliseconds_per_instance']:6.2f} ms CPU each",
            flush=True,
        )
    return {"load": asdict(load), "bytes": size, "contenders": rows}


def measure(start: Start, corpora: Sequence[Sequence[Path]], folder: Path) -> Measured:
    """One fresh server, one storescu an association; the clock runs until the last has its last answer."""
    with start(folder) as contender:
        send([corpora[0][:1]], contender)
        # What the one before left unwritten is not ours to wait for.
        os.sync()
        used = processor_seconds(contender.process_id)
        begun = time.perf_counter()
        send([corpus[1:] for corpus in corpora[:1]] + list(corpora[1:]), contender)
        seconds = time.perf_counter() - begun
        used = processor_seconds(contender.process_id) - used
        return Measured(seconds, peak_resident_bytes(contender.process_id), used)


def send(corpora: Sequence[Sequence[Path]], contender: Contender) -> None:
    """Raises when a sender meets anything but success. DCMTK leaves Nagle's algorithm on, which costs 40 ms an instance."""
    environment = {**os.environ, "TCP_NODELAY": "1"}
    command = ["/usr/bin/storescu", "--max-pdu", "131072", "-aec", contender.ae_title, "127.0.0.1", str(contender.port)]
    senders = [
        subprocess.Popen([*command, *map(str, corpus)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for corpus in corpora
    ]
    for each in senders:
        _, error = each.communicate()
        if each.returncode:
            raise RuntimeError(f"storescu failed: {error.decode()[-500:]}")


def make_corpus(folder: Path, load: Load) -> list[Path]:
    """Instances of noise with UIDs of their own, one study an association."""
    random = np.random.default_rng(1)
    study, series = generate_uid(), generate_uid()
    paths = []
    for number in range(load.instances):
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = UltrasoundMultiFrameImageStorage, generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.PatientID, dataset.PatientName, dataset.Modality = "BENCH", "Bench^Ingest", "US"
        dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber, dataset.StudyID = "20260101", "120000", "", ""
        dataset.PatientBirthDate, dataset.PatientSex, dataset.ReferringPhysicianName = "", "", ""
        dataset.InstanceNumber, dataset.SeriesNumber = number + 1, 1
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.NumberOfFrames, dataset.Rows, dataset.Columns = load.frames, load.rows, load.columns
        dataset.PixelData = random.bytes(load.frames * load.rows * load.columns)
        dataset["PixelData"].VR = "OB"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{number:05}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def machine() -> dict[str, Any]:
    """Where it ran, as far as it matters to the figures."""
    return {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform(), "load": os.getloadavg()}


def sender() -> str:
    """The sender's own name for its version."""
    answer = subprocess.run(["/usr/bin/storescu", "--version"], capture_output=True, text=True, check=True).stdout
    return answer.splitlines()[0].strip("$ ")


def draw(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Instances a second for the small, megabytes a second for the large."""
    groups = {
        f"{result['load']['name']} (MB/s)": {name: row["megabytes_per_second"] for name, row in result["contenders"].items()}
        for result in results
    }
    write_bar_chart(path, title="C-STORE ingest, sender DCMTK storescu on the same machine", groups=groups, unit="MB/s")


if __name__ == "__main__":
    main()
