"""The servers that the ingest benchmark compares, each started fresh in a folder of its own, and the raw floor beneath them."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.database import fresh_database
from tests.running import free_port

PDU_BYTES = 131072


@dataclass(frozen=True)
class Contender:
    """A server that listens."""

    port: int
    ae_title: str
    process_id: int


T = TypeVar("T", int, float)
Start = Callable[[Path], Iterator[Contender]]


@contextmanager
def sonomyo(folder: Path) -> Iterator[Contender]:
    """Our listener process with its PostgreSQL: file, folder, row and job are durable before it answers."""
    with fresh_database(folder) as url:
        port = free_port()
        environment = {
            **os.environ,
            "SONOMYO_DATA_DIR": str(folder / "data"),
            "SONOMYO_DATABASE__URL": url,
            "SONOMYO_DICOM__PORT": str(port),
            "SONOMYO_LOG_LEVEL": "WARNING",
        }
        service = [sys.executable, "-m", "service"]
        migrated = subprocess.run([*service, "migrate"], env=environment, capture_output=True, text=True, check=False)
        if migrated.returncode:
            raise RuntimeError(f"sonomyo migrate failed: {migrated.stderr[-1000:]}")
        with _server([*service, "listener"], port, environment) as process:
            yield Contender(port, "SONOMYO", process.pid)


@contextmanager
def orthanc(folder: Path) -> Iterator[Contender]:
    """Orthanc as its package configures it (SQLite, files synced), with our PDU size."""
    port = free_port()
    configuration = {
        "Name": "bench",
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "HttpServerEnabled": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "MaximumPduLength": PDU_BYTES,
        "SyncStorageArea": True,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "Plugins": [],
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration))
    with _server(["/usr/sbin/Orthanc", str(file)], port, os.environ) as process:
        yield Contender(port, "ORTHANC", process.pid)


@contextmanager
def storescp(folder: Path) -> Iterator[Contender]:
    """DCMTK's storescp, a process an association; it syncs nothing, so what it has acknowledged a power cut can take."""
    port = free_port()
    (folder / "storage").mkdir()
    arguments = ["/usr/bin/storescp", "--fork", "--max-pdu", str(PDU_BYTES), "+B", "-od", str(folder / "storage"), str(port)]
    with _server(arguments, port, os.environ) as process:
        yield Contender(port, "STORESCP", process.pid)


def write_and_sync(folder: Path, corpora: Sequence[Sequence[Path]]) -> float:
    """The floor: the same bytes, each file written, synced, renamed and its folder synced; a thread an association. Seconds."""
    contents = [[path.read_bytes() for path in corpus] for corpus in corpora]
    for name in ("incoming", "stored"):
        (folder / name).mkdir()
    begun = time.perf_counter()
    threads = [threading.Thread(target=_write_all, args=(folder, index, files)) for index, files in enumerate(contents)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begun


def peak_resident_bytes(process_id: int) -> int:
    """The most memory that a process and its children have had, each less what it shares with the others now."""
    return sum(_of_living(_peak_of, each) for each in _with_children(process_id))


def processor_seconds(process_id: int) -> float:
    """User and system time of a process and its children, those that it has waited for included."""
    return sum(_of_living(_used_by, each) for each in _with_children(process_id))


def _with_children(process_id: int) -> list[int]:
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return [process_id, *map(int, children)]


def _of_living(figure: Callable[[int], T], process_id: int) -> T | int:
    """0 for one that has just ended; storescp has a process an association."""
    try:
        return figure(process_id)
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _used_by(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def _peak_of(process_id: int) -> int:
    peak = _kilobytes(Path(f"/proc/{process_id}/status"), "VmHWM")
    now = Path(f"/proc/{process_id}/smaps_rollup")
    return (peak - _kilobytes(now, "Rss") + _kilobytes(now, "Pss")) << 10


def _kilobytes(file: Path, name: str) -> int:
    return next((int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith(f"{name}:")), 0)


def _write_all(folder: Path, index: int, contents: Sequence[bytes]) -> None:
    stored = os.open(folder / "stored", os.O_RDONLY)
    for number, content in enumerate(contents):
        path = folder / "incoming" / f"{index}-{number}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, content)
        os.fsync(descriptor)
        os.close(descriptor)
        path.rename(folder / "stored" / path.name)
        os.fsync(stored)
    os.close(stored)


@contextmanager
def _server(arguments: Sequence[str], port: int, environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    # DCMTK, in Orthanc too, leaves Nagle's algorithm on unless told so: 40 ms an instance on loopback.
    process = subprocess.Popen(
        arguments, env={**environment, "TCP_NODELAY": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_until(lambda: process.poll() is not None or _listens(port))
        if process.poll() is not None:
            raise RuntimeError(f"{arguments[0]} ended with {process.returncode} before it listened")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("it did not start in time")
        time.sleep(0.02)
