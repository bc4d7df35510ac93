"""HL7 v2 over MLLP to a small receiver that answers as told."""

import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.adapters.mllp import MllpDestination, reach
from service.bootstrap import Service
from service.core.render.hl7 import render_oru
from service.destination_settings import MllpDestinationSettings
from service.errors import InputRejected, Unavailable
from service.records import RenderedObject
from service.settings import Settings
from tests.calf_report import calf_report
from tests.certificates import make_certificates
from tests.mllp_receiver import acknowledging, receiving
from tests.running import free_port


def rendered() -> RenderedObject:
    return RenderedObject(
        sop_instance_uid="2.25.5",
        sop_class_uid="",
        kind="oru",
        report_id="r",
        media_type="x-application/hl7-v2+er7",
        content=render_oru(calf_report()),
    )


def settings(port: int, **changes: Any) -> MllpDestinationSettings:
    given = {"protocol": "mllp", "name": "ris", "host": "127.0.0.1", "port": port, "timeout_seconds": 5, **changes}
    return MllpDestinationSettings.model_validate(given)


def send(port: int, **changes: Any) -> None:
    MllpDestination(settings=settings(port, **changes)).send(rendered())


def test_message_that_is_accepted_is_delivered_as_it_is() -> None:
    with receiving(acknowledging("AA")) as (port, received):
        send(port)
    assert received == [rendered().content]


@pytest.mark.parametrize(("code", "error"), [("AE", Unavailable), ("AR", InputRejected)])
def test_message_that_is_not_accepted_is_retried_or_refused_by_its_code(code: str, error: type[Exception]) -> None:
    with receiving(acknowledging(code)) as (port, _), pytest.raises(error, match=code):
        send(port)


def test_acknowledgement_in_pieces_is_put_together() -> None:
    def slowly(message: bytes) -> Iterator[bytes]:
        (whole,) = acknowledging("AA")(message)
        yield from (whole[at : at + 3] for at in range(0, len(whole), 3))

    with receiving(slowly) as (port, received):
        send(port)
    assert len(received) == 1


@pytest.mark.parametrize("answer", [b"", b"\x0bMSA|AA", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"x" * (1 << 17)])
def test_answer_that_is_no_acknowledgement_is_retried(answer: bytes) -> None:
    with receiving(lambda _: iter([answer])) as (port, _), pytest.raises(Unavailable):
        send(port)


def test_receiver_that_answers_byte_by_byte_is_left_in_time() -> None:
    def trickle(_: bytes) -> Iterator[bytes]:
        end = time.monotonic() + 8
        while time.monotonic() < end:
            time.sleep(0.2)
            yield b"x"

    with receiving(trickle) as (port, _):
        began = time.monotonic()
        with pytest.raises(Unavailable, match="within 1 s"):
            send(port, timeout_seconds=1)
        assert time.monotonic() - began < 5


def test_receiver_that_is_away_is_retried() -> None:
    with pytest.raises(Unavailable, match="reached"):
        send(free_port())


def test_message_over_tls_reaches_a_receiver_of_the_authority_alone(tmp_path: Path) -> None:
    folder = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    with receiving(acknowledging("AA"), tls=context) as (port, received):
        send(port, tls={"ca_file": folder / "authority.crt"})
    assert len(received) == 1
    with receiving(acknowledging("AA"), tls=context) as (port, received), pytest.raises(Unavailable) as raised:
        send(port, tls={"ca_file": folder / "stranger.crt"})
    assert (raised.value.reason, received) == ("tls", [])


def test_reach_sends_no_message() -> None:
    with receiving(acknowledging("AA")) as (port, received):
        assert "connection" in reach(settings(port))
    assert received == []
    with pytest.raises(Unavailable):
        reach(settings(free_port()))


def test_message_is_rendered_only_where_a_destination_takes_it(database_url: str, tmp_path: Path) -> None:
    def kinds(*destinations: dict[str, Any]) -> set[str]:
        tree = {"data_dir": tmp_path, "database": {"url": database_url}, "destinations": destinations}
        service = Service(Settings.model_validate(tree))
        try:
            return set(service.flow.renderers)
        finally:
            service.engine.dispose()

    ris = {"name": "ris", "protocol": "mllp", "host": "ris", "port": 2575}
    assert kinds() == {"sr", "ko"}
    assert kinds(ris) == {"sr", "ko", "oru"}
