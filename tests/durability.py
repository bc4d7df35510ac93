"""Kills at random moments while DCMTK sends, then the invariants: what was acknowledged is there, once, byte for byte."""

import itertools
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil
import pydicom
from pydicom.uid import generate_uid

from service.core.part10 import parse_head
from simulator.write import simulate
from tests.peers import peer
from tests.running import RunningService, poll

ROLES = ("listener", "worker", "api", "triton", "postgres", "supervisor")


@dataclass
class Journal:
    """What the sender knows: the data set's bytes of each instance, and which were acknowledged."""

    data_sets: dict[str, bytes] = field(default_factory=dict)
    studies: dict[str, str] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0


class Sender:
    """Sends one small cine after the other, each a study of its own, and again until it is acknowledged."""

    def __init__(self, folder: Path, port: Callable[[], int], *, pause_seconds: float = 0.3) -> None:
        self.journal = Journal()
        self._folder = folder
        self._port = port
        self._pause_seconds = pause_seconds
        made = simulate("calf", folder, n=1, seed=5, transfer_syntax="jpeg", number_of_frames=2)
        self._template = pydicom.dcmread(next(path for path in made if path.suffix == ".dcm"))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> Journal:
        self._stop.set()
        self._thread.join(timeout=120)
        return self.journal

    def _run(self) -> None:
        for number in itertools.count(1):
            if self._stop.is_set():
                return
            path, uid = self._make(number)
            while not self._send(path):
                self.journal.refused += 1
                time.sleep(0.2)
            self.journal.acknowledged.add(uid)
            path.unlink()
            self._stop.wait(self._pause_seconds)

    def _make(self, number: int) -> tuple[Path, str]:
        self._template.SOPInstanceUID = self._template.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        self._template.StudyInstanceUID = generate_uid()
        self._template.InstanceNumber = number
        path = self._folder / f"{number}.dcm"
        self._template.save_as(path)
        uid = str(self._template.SOPInstanceUID)
        self.journal.data_sets[uid] = data_set_of(path.read_bytes())
        self.journal.studies[uid] = str(self._template.StudyInstanceUID)
        return path, uid

    def _send(self, path: Path) -> bool:
        command = [peer("/usr/bin/storescu"), "-v", "-xy", "-to", "5", "-td", "20", "-ta", "5", "-aec", "SONOMYO"]
        try:
            sent = subprocess.run(
                [*command, "127.0.0.1", str(self._port()), str(path)], capture_output=True, text=True, timeout=60, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return re.search(r"Received Store Response \(Success\)", sent.stdout + sent.stderr) is not None


def data_set_of(file: bytes) -> bytes:
    """The data set of a Part 10 file, past its File Meta Information."""
    return file[parse_head(file[:4096])[1] :]


def processes_of(service: RunningService, role: str) -> list[psutil.Process]:
    """The processes that play a role now, the one that the supervisor started first."""
    if role == "supervisor":
        return [psutil.Process(service.process.pid)]
    found = []
    with suppress(psutil.Error):
        for child in psutil.Process(service.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if plays(child, role):
                    found.append(child)
    return sorted(found, key=lambda process: process.pid)


def plays(process: psutil.Process, role: str) -> bool:
    command = process.cmdline()
    if role == "triton":
        return bool(command) and command[0].endswith("tritonserver")
    if role == "postgres":
        return bool(command) and Path(command[0]).name == "postgres" and "-D" in command
    return "service" in command and role in command


def kill_at_random(
    service: RunningService, random_: random.Random, killed: Counter[str], *, roles: tuple[str, ...] = ROLES
) -> str:
    """Kill -9 a random role after a random while; gives the role."""
    time.sleep(random_.uniform(0.2, 2.5))
    role = random_.choice(roles)
    playing = processes_of(service, role)
    if playing:
        with suppress(psutil.Error):
            random_.choice(playing).send_signal(signal.SIGKILL)
            killed[role] += 1
    return role


def broken_invariants(service: RunningService, journal: Journal, *, settle_seconds: float = 180) -> list[str]:
    """Sentences about each invariant that does not hold; empty when all do."""
    # A process that was killed last may still be starting again: the checks begin when the API answers.
    poll(lambda: answers(service), timeout_seconds=60, what="the API after the last kill")
    broken = []
    for uid in sorted(journal.acknowledged):
        broken += _instance(service, journal, uid)
        broken += _study(service, journal.studies[uid], settle_seconds)
    incoming = service.data_dir / "store" / "incoming"
    with suppress(AssertionError):
        poll(lambda: not list(incoming.iterdir()), timeout_seconds=30, what="incoming empty")
    broken += [f"left in incoming: {path.name}" for path in incoming.iterdir()]
    return broken


def answers(service: RunningService) -> bool:
    """Does the API take connections?"""
    try:
        return service.api.get("/healthz").status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False


def _instance(service: RunningService, journal: Journal, uid: str) -> list[str]:
    study = service.api.get(f"/api/v1/studies/{journal.studies[uid]}")
    if study.status_code != httpx2.codes.OK:
        return [f"{uid}: its study answers {study.status_code}"]
    rows = [row for row in study.json()["instances"] if row["sop_instance_uid"] == uid]
    if len(rows) != 1:
        return [f"{uid}: {len(rows)} rows"]
    series = rows[0]["series_instance_uid"]
    address = f"/dicom-web/studies/{journal.studies[uid]}/series/{series}/instances/{uid}"
    answer = service.api.get(address, headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'})
    return [] if journal.data_sets[uid] in answer.content else [f"{uid}: the stored bytes differ ({answer.status_code})"]


def _study(service: RunningService, study_instance_uid: str, settle_seconds: float) -> list[str]:
    try:
        service.report(study_instance_uid, timeout_seconds=settle_seconds)
    except AssertionError as missing:
        return [f"study of an acknowledged instance: {missing}"]
    reports = service.api.get(f"/api/v1/studies/{study_instance_uid}").json()["reports"]
    return [] if len(reports) == 1 else [f"study has {len(reports)} reports"]
