"""`sonomyo listener` as several processes on one port, as they are seen from outside."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, text

from tests.integration.listener_parts import REJECT, VERIFICATION, RawPeer, encode, encode_request, ultrasound
from tests.running import ROOT, free_port, poll

IMPLICIT = "1.2.840.10008.1.2"


@dataclass
class RunningListener:
    port: int
    process: "subprocess.Popen[bytes]"

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def serving(self) -> list[int]:
        """How many connections each process serves; the listening socket is no connection."""
        return sorted(
            sum(each.status == psutil.CONN_ESTABLISHED and each.laddr.port == self.port for each in child.net_connections("tcp"))
            for child in self.children()
        )


@pytest.fixture
def lost_association(engine: Engine) -> int:
    """Left open two minutes ago by a listener of another host; written before the listener of the test starts."""
    statement = (
        "INSERT INTO associations (listener, peer_address, alive_at)"
        " VALUES ('former:104/3', '127.0.0.1', now() - interval '2 minutes') RETURNING id"
    )
    with engine.begin() as connection:
        return int(connection.execute(text(statement)).scalar_one())


@pytest.fixture
def listener(tmp_path: Path, database_url: str) -> Iterator[RunningListener]:
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SONOMYO_")},
        "SONOMYO_DATA_DIR": str(tmp_path),
        "SONOMYO_DATABASE__URL": database_url,
        "SONOMYO_DICOM__PORT": str(port),
        "SONOMYO_DICOM__PROCESSES": "2",
        "SONOMYO_DICOM__MAXIMUM_ASSOCIATIONS_PER_ADDRESS": "3",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "listener"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    )
    running = RunningListener(port, process)
    try:
        poll(lambda: answers(port), timeout_seconds=30, what="the listener")
        yield running
    finally:
        process.terminate()
        process.wait(timeout=30)


def answers(port: int) -> bool:
    """Does somebody answer an association request there?"""
    try:
        with RawPeer(port) as peer:
            peer.send(encode_request((VERIFICATION, [IMPLICIT])))
            return peer.read()[0] != 0
    except OSError:
        return False


def test_associations_are_shared_between_processes_and_the_limit_holds_over_both(listener: RunningListener) -> None:
    poll(lambda: both_accept(listener), timeout_seconds=10, what="the second process, which may start later")
    poll(lambda: listener.serving() == [0, 0], timeout_seconds=10, what="the end of these associations")
    with ExitStack() as stack:
        peers = [stack.enter_context(RawPeer(listener.port)) for _ in range(4)]
        for peer in peers[:3]:
            peer.associate((VERIFICATION, [IMPLICIT]))
        assert all(listener.serving())
        peers[3].send(encode_request((VERIFICATION, [IMPLICIT])))
        assert peers[3].read()[0] == REJECT
    poll(lambda: answers(listener.port), timeout_seconds=10, what="room for an association again")


def both_accept(listener: RunningListener) -> bool:
    """Has each process one of two associations?"""
    with RawPeer(listener.port) as first, RawPeer(listener.port) as second:
        for peer in (first, second):
            peer.associate((VERIFICATION, [IMPLICIT]))
        return listener.serving() == [1, 1]


def test_killed_process_is_replaced_and_what_it_held_counts_no_more(listener: RunningListener) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(RawPeer(listener.port)).associate((VERIFICATION, [IMPLICIT]))
        victims = listener.children()
        for victim in victims:
            victim.kill()
        poll(lambda: fresh(listener, victims), timeout_seconds=20, what="two other processes")
        for _ in range(3):
            stack.enter_context(RawPeer(listener.port)).associate((VERIFICATION, [IMPLICIT]))


def test_association_that_a_listener_of_another_name_left_open_is_closed_at_start(
    lost_association: int, listener: RunningListener, engine: Engine
) -> None:
    assert listener.children()
    outcome = text("SELECT outcome FROM associations WHERE id = :id AND closed_at IS NOT NULL")
    with engine.connect() as connection:
        assert connection.execute(outcome, {"id": lost_association}).scalar_one() == "connection_lost"


def test_association_that_lasts_is_renewed_while_its_listener_runs(listener: RunningListener, engine: Engine) -> None:
    def is_renewed() -> bool:
        with engine.connect() as connection:
            fresh_and_open = "SELECT count(*) FROM associations WHERE closed_at IS NULL AND alive_at > now() - interval '20 s'"
            return bool(connection.execute(text(fresh_and_open)).scalar_one())

    with RawPeer(listener.port) as peer:
        peer.associate()
        assert peer.store(encode(ultrasound())) == (0, "")
        with engine.begin() as connection:
            connection.execute(text("UPDATE associations SET alive_at = now() - interval '40 s' WHERE closed_at IS NULL"))
        assert not is_renewed()
        poll(is_renewed, timeout_seconds=15, what="the association to be renewed")
        peer.release()


def fresh(listener: RunningListener, victims: list[psutil.Process]) -> bool:
    children = listener.children()
    return len(children) == len(victims) and not set(children) & set(victims)


def test_killed_parent_takes_its_processes_along_and_the_port_is_free(listener: RunningListener) -> None:
    children = listener.children()
    listener.process.kill()
    listener.process.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert not answers(listener.port)


def test_listener_that_is_stopped_ends_with_all_its_processes(listener: RunningListener) -> None:
    children = listener.children()
    listener.process.send_signal(signal.SIGTERM)
    assert listener.process.wait(timeout=20) == 0
    assert not any(child.is_running() for child in children)
