"""Storage Commitment over TLS with certificates of both sides, in both roles: nothing is said to whom we do not trust."""

import gc
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.destination_settings import TlsSettings
from service.errors import Unavailable
from service.ports import UnitOfWorkFactory
from tests.certificates import make_certificates
from tests.integration.commitment_parts import (
    CommittingHouse,
    Peer,
    ask,
    associated,
    known,
    outcomes,
    store,
)
from tests.integration.listener_parts import US, wait_until
from tests.integration.store_parts import PYNETDICOM_LEAVES_A_SOCKET
from tests.integration.test_commitment_scu import composed, sent

pytestmark = PYNETDICOM_LEAVES_A_SOCKET
Make = Callable[..., CommittingHouse]


@pytest.fixture(autouse=True)
def forgotten_sockets_are_closed() -> Iterator[None]:
    """Here, where they are expected, and not while another test runs."""
    before = frozenset(threading.enumerate())
    yield
    _join_all_but(before)
    gc.collect()


def _join_all_but(before: frozenset[threading.Thread]) -> None:
    """A function of its own, so that nothing refers to a thread afterwards: its socket would stay."""
    for thread in threading.enumerate():
        if thread not in before:
            thread.join(timeout=10)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def make(units: UnitOfWorkFactory, engine: Engine, tmp_path: Path) -> Make:
    return lambda **changes: CommittingHouse(units, engine, tmp_path, **changes)


def serving(folder: Path, certificate: str = "server") -> ssl.SSLContext:
    """A peer that listens, and wants a certificate of who calls."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{certificate}.crt", folder / f"{certificate}.key")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(folder / "authority.crt")
    return context


def calling(folder: Path) -> ssl.SSLContext:
    """A peer that calls."""
    context = ssl.create_default_context(cafile=folder / "authority.crt")
    context.load_cert_chain(folder / "client.crt", folder / "client.key")
    return context


def ours(folder: Path) -> TlsSettings:
    """How we call."""
    return TlsSettings(ca_file=folder / "authority.crt", certificate_file=folder / "client.crt", key_file=folder / "client.key")


def listening(folder: Path) -> dict[str, Any]:
    """How we listen."""
    return {
        "tls_port": 0,
        "tls_certificate_file": folder / "server.crt",
        "tls_key_file": folder / "server.key",
        "tls_client_ca_file": folder / "authority.crt",
    }


# -- we ask --


def test_report_on_the_same_association_over_tls_delivers(make: Make, certificates: Path) -> None:
    with Peer(reports_here=[None]).running(tls=serving(certificates)) as pacs:
        house = make(port=pacs.port, tls=ours(certificates), wait_seconds=10)
        sent(house)
    assert (house.delivery()[0], house.transactions()) == ("delivered", ["committed"])
    assert pacs.report_statuses == [0x0000]


def test_report_on_a_new_association_over_tls_delivers(make: Make, certificates: Path) -> None:
    with Peer().running(tls=serving(certificates)) as pacs:
        house = make(port=pacs.port, tls=ours(certificates))
        sent(house)
        assert house.delivery()[0] == "awaiting_commitment"
        with house.listening(**listening(certificates)) as port:
            assert pacs.report(port, pacs.asked[0][0], None, tls=calling(certificates)) == 0x0000
    house.work()
    assert (house.delivery()[0], house.transactions()) == ("delivered", ["committed"])


@pytest.mark.parametrize("server", ["elsewhere", "stranger"])
def test_request_to_a_peer_that_we_do_not_trust_is_not_sent(make: Make, certificates: Path, server: str) -> None:
    with Peer().running(tls=serving(certificates, server)) as pacs:
        house = make(port=pacs.port, tls=ours(certificates))
        delivery = composed(house)
        with pytest.raises(Unavailable):
            house.flow.deliver_report(*delivery)
    assert (pacs.asked, house.delivery()[0]) == ([], "awaiting_commitment")


def test_request_over_tls_to_a_peer_in_the_clear_is_not_sent(make: Make, certificates: Path) -> None:
    with Peer().running() as pacs:
        house = make(port=pacs.port, tls=ours(certificates))
        delivery = composed(house)
        with pytest.raises(Unavailable):
            house.flow.deliver_report(*delivery)
    assert pacs.asked == []


# -- we are asked --


def test_peer_that_asks_over_tls_is_told_over_tls_at_its_address(make: Make, certificates: Path) -> None:
    with Peer().running(tls=serving(certificates)) as peer:
        house = make(peers=[known(peer.port, tls=ours(certificates))])
        with house.listening(**listening(certificates)) as port, associated(port, tls=calling(certificates)) as association:
            store(association, "1.2.3")
            assert ask(association, "2.25.1", (US, "1.2.3"), (US, "1.2.4")) == 0x0000
        house.work()
    (result,) = peer.results
    assert (result.transaction_uid, outcomes(result)) == ("2.25.1", {"1.2.3": None, "1.2.4": 0x0112})
    assert peer.roles == [(False, True)]
    assert house.rows("SELECT state, failed_count FROM commitments_given") == [("reported", 1)]


def test_peer_without_an_address_is_told_over_tls_on_the_same_association(make: Make, certificates: Path) -> None:
    peer, house = Peer(), make()
    with (
        house.listening(**listening(certificates)) as port,
        associated(port, tls=calling(certificates), peer=peer) as association,
    ):
        store(association, "1.2.3")
        assert ask(association, "2.25.1", (US, "1.2.3")) == 0x0000
        wait_until(lambda: house.rows("SELECT state FROM commitments_given") == [("reported",)], seconds=60)
    assert outcomes(peer.results[0]) == {"1.2.3": None}


@pytest.mark.parametrize("server", ["elsewhere", "stranger"])
def test_peer_at_whose_address_is_somebody_else_is_told_nothing(make: Make, certificates: Path, server: str) -> None:
    with Peer().running(tls=serving(certificates, server)) as peer:
        house = make(peers=[known(peer.port, tls=ours(certificates))])
        with house.listening() as port, associated(port) as association:
            store(association, "1.2.3")
            assert ask(association, "2.25.1", (US, "1.2.3")) == 0x0000
        with pytest.raises(Unavailable):
            house.work()
    assert peer.results == []
    assert house.rows("SELECT state FROM commitments_given") == [("accepted",)]
