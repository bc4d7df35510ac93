"""Simulated power cuts (fault F13): `python -m bench.power_cut --cuts 20`. Needs root, for it mounts a disk image.

Store and database lie on a loop-mounted ext4 image. While DCMTK sends, the image is copied as the disk would hold it at that
moment: what was not synced is only in the mounted file system's cache, so it is missing from the copy. The copy is mounted,
its journal replayed, PostgreSQL recovered, and every instance acknowledged before the copy must be there, byte for byte, once.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from sqlalchemy import text

from service.adapters.instance_store import FileInstanceStore
from service.adapters.migrations import migrate
from service.adapters.postgres import make_engine
from service.embedded.postgres import EmbeddedPostgres
from service.embedded.processes import ChildProcess
from tests.durability import Journal, Sender, data_set_of
from tests.running import free_port, poll

IMAGE_MIB = 512


def main() -> None:
    """Run, print, write bench/results/power_cut.json; exit 1 when anything acknowledged was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("bench/results/power_cut.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sonomyo-cut-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        outcome = run(folder, cuts=given.cuts, seed=given.seed)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(outcome, indent=2) + "\n")
    print(json.dumps(outcome, indent=2))
    raise SystemExit(1 if outcome["broken"] else 0)


def run(folder: Path, *, cuts: int, seed: int) -> dict[str, object]:
    """Copy the image `cuts` times under load, then check each copy."""
    random_ = random.Random(seed)  # noqa: S311 - a repeatable test, not a secret
    image, mount = folder / "disk.img", folder / "disk"
    make_disk(image)
    snapshots: list[tuple[Path, set[str]]] = []
    with mounted(image, mount), serving(mount, folder / "listener.log") as port:
        sender = Sender(folder, lambda: port, pause_seconds=0.0)
        sender.start()
        poll(lambda: bool(sender.journal.acknowledged), timeout_seconds=60, what="the first acknowledgement")
        for number in range(cuts):
            time.sleep(random_.uniform(0.3, 1.5))
            acknowledged = set(sender.journal.acknowledged)
            copy = folder / f"cut-{number}.img"
            copy_at_one_moment(image, copy)
            snapshots.append((copy, acknowledged))
        journal = sender.stop()
    broken: list[str] = []
    for number, (copy, acknowledged) in enumerate(snapshots):
        broken += [f"cut {number}: {one}" for one in check(copy, folder / "cut", journal, acknowledged)]
        copy.unlink()
    return {
        "seed": seed,
        "cuts": cuts,
        "acknowledged_in_all": len(journal.acknowledged),
        "acknowledged_before_each_cut": [len(acknowledged) for _, acknowledged in snapshots],
        "broken": broken,
    }


def copy_at_one_moment(image: Path, copy: Path) -> None:
    """Copy the image while nothing writes: a copy that takes in later writes half is no state that a disk ever had.

    Every process below this one is stopped; the kernel may still write back by itself, then the copy is made again.
    """
    stopped = psutil.Process().children(recursive=True)
    for process in stopped:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        for _ in range(20):
            before = written_sectors(image)
            subprocess.run(["cp", "--sparse=always", image, copy], check=True)
            if written_sectors(image) == before:
                return
        raise RuntimeError("the disk image never was still")
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def written_sectors(image: Path) -> int:
    """What has been written to the image's loop device so far (block/stat, field 7)."""
    listed = ["losetup", "--noheadings", "--output", "NAME", "--associated", str(image)]
    device = Path(subprocess.run(listed, capture_output=True, text=True, check=True).stdout.strip())
    return int(Path(f"/sys/block/{device.name}/stat").read_text().split()[6])


def make_disk(image: Path) -> None:
    """An empty ext4 image."""
    with image.open("wb") as file:
        file.truncate(IMAGE_MIB << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)


@contextmanager
def mounted(image: Path, mount: Path) -> Iterator[None]:
    """The image as a file system; unmounted on exit."""
    mount.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", mount], check=True)


@contextmanager
def database(disk: Path) -> Iterator[str]:
    """The embedded PostgreSQL whose cluster lies on the disk; its address."""
    server = EmbeddedPostgres(folder=disk / "postgres")
    server.prepare()
    child = ChildProcess(server.command())
    try:
        poll(server.is_ready, timeout_seconds=60, what="PostgreSQL")
        server.create_database("sonomyo")
        yield server.url("sonomyo")
    finally:
        child.stop()


@contextmanager
def serving(disk: Path, log: Path) -> Iterator[int]:
    """PostgreSQL and the real listener with everything on the disk; the listener's port."""
    port = free_port()
    with database(disk) as url:
        engine = make_engine(url, pool_size=1)
        migrate(engine)
        engine.dispose()
        environment = {
            **os.environ,
            "SONOMYO_DATABASE__URL": url,
            "SONOMYO_DATA_DIR": str(disk / "data"),
            "SONOMYO_DICOM__PORT": str(port),
            "SONOMYO_STORE__RESERVE_BYTES": "0",
        }
        with log.open("wb") as output:
            listener = subprocess.Popen(
                [sys.executable, "-m", "service", "listener"], env=environment, stdout=output, stderr=output
            )
        try:
            yield port
        finally:
            listener.terminate()
            listener.wait(timeout=60)


def check(image: Path, mount: Path, journal: Journal, acknowledged: set[str]) -> list[str]:
    """Mount the copy as after the power came back; sentences about what is missing, double or different."""
    with mounted(image, mount), database(mount) as url:
        engine = make_engine(url, pool_size=1)
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT sop_instance_uid, storage_key FROM instances")).all()
        engine.dispose()
        store = FileInstanceStore(root=mount / "data" / "store")
        keys: dict[str, list[str]] = {}
        for uid, key in rows:
            keys.setdefault(uid, []).append(key)
        return [problem for uid in sorted(acknowledged) for problem in _problems(uid, keys, store, journal)]


def _problems(uid: str, keys: dict[str, list[str]], store: FileInstanceStore, journal: Journal) -> list[str]:
    found = keys.get(uid, [])
    if len(found) != 1:
        return [f"{uid}: {len(found)} rows"]
    path = store.path(found[0])
    if not path.exists() or data_set_of(path.read_bytes()) != journal.data_sets[uid]:
        return [f"{uid}: the stored bytes are missing or differ"]
    return []


if __name__ == "__main__":
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        raise SystemExit("power_cut needs root and mkfs.ext4")
    main()
