"""kill -9 at random moments over every process while DCMTK sends: `python -m bench.kill --kills 200 --seed 1`.

Prints and writes what was sent, refused, acknowledged and lost. Nothing acknowledged may be lost or be there twice.
"""

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.durability import Sender, broken_invariants, kill_at_random
from tests.running import running_service


def main() -> None:
    """Run, print, write bench/results/kill.json; exit 1 when an invariant is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("bench/results/kill.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sonomyo-kill-") as folder:
        outcome = run(Path(folder), kills=given.kills, seed=given.seed)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(outcome, indent=2) + "\n")
    print(json.dumps(outcome, indent=2))
    raise SystemExit(1 if outcome["broken"] else 0)


def run(folder: Path, *, kills: int, seed: int) -> dict[str, object]:
    """Kill until the number is reached, restarting the supervisor when it was the victim; then check."""
    random_ = random.Random(seed)  # noqa: S311 - a repeatable test, not a secret
    killed: Counter[str] = Counter()
    ports: list[int] = []
    started = time.monotonic()
    sender: Sender | None = None
    while sum(killed.values()) < kills:
        with suppress(AssertionError), running_service(folder / "data", stable_age_seconds="1") as service:
            ports.append(service.dicom_port)
            if sender is None:
                sender = Sender(folder, lambda: ports[-1])
                sender.start()
            while sum(killed.values()) < kills and service.process.poll() is None:
                role = kill_at_random(service, random_, killed)
                if role == "supervisor":
                    service.process.wait(timeout=10)
    assert sender is not None
    with running_service(folder / "data", stable_age_seconds="1") as service:
        ports.append(service.dicom_port)
        time.sleep(3)
        journal = sender.stop()
        broken = broken_invariants(service, journal)
    return {
        "seed": seed,
        "kills": dict(killed),
        "seconds": round(time.monotonic() - started),
        "acknowledged": len(journal.acknowledged),
        "attempts_without_acknowledgement": journal.refused,
        "broken": broken,
    }


if __name__ == "__main__":
    main()
