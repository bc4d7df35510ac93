"""Each process killed -9 while DCMTK sends: nothing acknowledged is lost, nothing is there twice."""

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.durability import ROLES, Sender, broken_invariants, kill_at_random
from tests.running import poll, running_service


@pytest.mark.timeout(600)
def test_acknowledged_instances_survive_the_death_of_each_process(tmp_path: Path) -> None:
    killed: Counter[str] = Counter()
    random_ = random.Random(20261121)  # noqa: S311 - a repeatable test, not a secret
    data_dir = tmp_path / "data"
    ports: list[int] = []
    with running_service(data_dir, stable_age_seconds="1") as service:
        ports.append(service.dicom_port)
        sender = Sender(tmp_path, lambda: ports[-1])
        sender.start()
        for role in ROLES[:-1]:
            kill_at_random(service, random_, killed, roles=(role,))
            time.sleep(1)
        kill_at_random(service, random_, killed, roles=("supervisor",))
        service.process.wait(timeout=10)
    with running_service(data_dir, stable_age_seconds="1") as service:
        ports.append(service.dicom_port)
        poll(lambda: len(sender.journal.acknowledged) >= len(ROLES), timeout_seconds=120, what="an acknowledgement for each kill")
        journal = sender.stop()
        assert sum(killed.values()) == len(ROLES)
        assert broken_invariants(service, journal) == []
