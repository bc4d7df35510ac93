"""C-STORE over TLS against a real pynetdicom SCP: nothing is sent unless both sides trust each other."""

import gc
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at run time

from service.adapters.store_scu import StoreScuDestination, echo, peer_of
from service.destination_settings import DicomDestinationSettings
from service.errors import Unavailable
from tests.certificates import make_certificates
from tests.integration.store_parts import PYNETDICOM_LEAVES_A_SOCKET, Scp, rendered, running
from tests.running import free_port

pytestmark = PYNETDICOM_LEAVES_A_SOCKET


@pytest.fixture(autouse=True)
def forgotten_sockets_are_closed() -> Iterator[None]:
    """Here, where they are expected, and not while another test runs."""
    yield
    for thread in threading.enumerate():
        if isinstance(thread, Association | DULServiceProvider):
            thread.join(timeout=10)
    gc.collect()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@contextmanager
def running_tls(scp: Scp, folder: Path, *, certificate: str = "server", mutual: bool = True) -> Iterator[Scp]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{certificate}.crt", folder / f"{certificate}.key")
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "authority.crt")
    entity = AE(ae_title="PACS")
    entity.add_supported_context(ComprehensiveSRStorage, ExplicitVRLittleEndian)
    entity.add_supported_context(Verification)
    handlers: list[Any] = [(evt.EVT_C_STORE, scp.store)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=context)
    assert server is not None
    scp.port = server.server_address[1]
    try:
        yield scp
    finally:
        server.shutdown()


def tls_destination(port: int, folder: Path, *, ca: str = "authority", own: str | None = "client") -> DicomDestinationSettings:
    tls: dict[str, Any] = {"ca_file": folder / f"{ca}.crt"}
    if own is not None:
        tls.update(certificate_file=folder / f"{own}.crt", key_file=folder / f"{own}.key")
    given = {"name": "pacs", "host": "127.0.0.1", "port": port, "ae_title": "PACS", "timeout_seconds": 5, "tls": tls}
    return DicomDestinationSettings.model_validate(given)


def send_to(settings: DicomDestinationSettings) -> None:
    StoreScuDestination(settings=settings, calling_ae_title="SONOMYO").send(rendered())


def test_send_over_tls_with_certificates_of_both_delivers(certificates: Path) -> None:
    with running_tls(Scp(), certificates) as scp:
        settings = tls_destination(scp.port, certificates)
        send_to(settings)
        echo(peer_of(settings, calling_ae_title="SONOMYO"))
    assert len(scp.received) == 1


@pytest.mark.parametrize(
    ("server", "ca", "own"),
    [("server", "stranger", "client"), ("elsewhere", "authority", "client"), ("server", "authority", None)],
)
def test_send_over_tls_that_either_side_does_not_trust_sends_nothing(
    certificates: Path, server: str, ca: str, own: str | None
) -> None:
    with running_tls(Scp(), certificates, certificate=server) as scp, pytest.raises(Unavailable):
        send_to(tls_destination(scp.port, certificates, ca=ca, own=own))
    assert scp.received == []


def test_send_over_tls_to_a_peer_without_tls_sends_nothing(certificates: Path) -> None:
    with running(Scp()) as scp, pytest.raises(Unavailable):
        send_to(tls_destination(scp.port, certificates))
    assert scp.received == []


def test_send_over_tls_with_a_file_that_is_missing_names_it(certificates: Path) -> None:
    with pytest.raises(Unavailable, match=r"ca_file.*nobody\.crt"):
        send_to(tls_destination(free_port(), certificates, ca="nobody"))
