"""Webhooks to a small server: signed so that a receiver can tell, and never to an address that is not allowed."""

import base64
import io
import logging
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import Engine
from standardwebhooks import Webhook, WebhookVerificationError
from structlog.testing import capture_logs

from service.adapters.connection import allowed_address
from service.adapters.webhook import WebhookDestination, reach
from service.bootstrap import Service
from service.core.render.notice import render_notice
from service.core.report import object_uid
from service.destination_settings import WebhookDestinationSettings
from service.errors import InputRejected, Unavailable
from service.logs import configure_logging
from service.ports import UnitOfWorkFactory
from service.records import RenderedObject
from service.settings import Settings
from tests.calf_report import calf_report
from tests.certificates import make_certificate
from tests.integration.flow_parts import STUDY, House, received
from tests.running import free_port
from tests.web_server import Web, serving, trickling

SECRET = f"whsec_{base64.b64encode(b'Canary-secret-of-32-bytes-aaaaaa').decode()}"
LOOPBACK, ELSEWHERE = "127.0.0.0/8", "192.0.2.0/24"
PATH, HOST = "/Canary-path/7/", "hook.example"


def rendered() -> RenderedObject:
    report = calf_report()
    return RenderedObject(
        sop_instance_uid=object_uid(report.report_id, report.version, "notice"),
        sop_class_uid="",
        kind="notice",
        report_id=report.report_id,
        media_type="application/json",
        content=render_notice(report),
    )


def hook(url: str, **changes: Any) -> dict[str, Any]:
    given = {"protocol": "webhook", "name": "hook", "url": url, "secret": SECRET, "timeout_seconds": 10}
    return {**given, "allowed_addresses": [LOOPBACK], **changes}


def settings(url: str, **changes: Any) -> WebhookDestinationSettings:
    return WebhookDestinationSettings.model_validate(hook(url, **changes))


def send(url: str, *, now: float | None = None, **changes: Any) -> None:
    WebhookDestination(settings=settings(url, **changes), now=lambda: now or time.time()).send(rendered())


def taken() -> tuple[int, bytes]:
    return 204, b""


def answering(status: int) -> Any:
    return lambda: (status, b"Canary-body")


def is_silent(text: str) -> bool:
    return not any(part in text for part in ("Canary", SECRET.removeprefix("whsec_")))


# -- what is sent --


def test_send_makes_one_signed_post_that_the_public_library_verifies() -> None:
    with serving(taken) as web:
        send(web.url + PATH)
    ((path, headers, body),) = web.requests
    assert path == "/rs" + PATH
    assert (headers["Content-Type"], headers["Host"]) == ("application/json", web.url.split("/")[2])
    assert body == rendered().content
    assert Webhook(SECRET).verify(body, headers)["data"]["report_id"] == rendered().report_id
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"ready", b"later"), headers)


def test_send_once_more_keeps_id_and_body_and_changes_time_and_signature() -> None:
    now = int(time.time())
    with serving(answering(503)) as web:
        for moment in (now - 60, now):
            with pytest.raises(Unavailable):
                send(web.url, now=moment)
    (_, first, body), (_, second, same) = web.requests
    assert (first["webhook-id"], body) == (second["webhook-id"], same)
    assert "." not in first["webhook-id"]
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == (str(now - 60), str(now))
    assert first["webhook-signature"] != second["webhook-signature"]
    for headers in (first, second):
        Webhook(SECRET).verify(body, headers)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_send_answered_with_a_success_is_delivered(status: int) -> None:
    with serving(answering(status) if status != 204 else taken) as web:
        send(web.url)


@pytest.mark.parametrize(
    ("status", "error", "mend"),
    [
        (400, InputRejected, "400"),
        (401, InputRejected, "secret"),
        (404, InputRejected, "url"),
        (410, InputRejected, "take the destination out"),
        (422, InputRejected, "422"),
        (307, InputRejected, "elsewhere"),
        (408, Unavailable, "408"),
        (425, Unavailable, "425"),
        (429, Unavailable, "429"),
        (500, Unavailable, "500"),
        (503, Unavailable, "503"),
    ],
)
def test_send_answered_otherwise_is_refused_or_retried_by_its_status(status: int, error: type[Exception], mend: str) -> None:
    with serving(answering(status)) as web, pytest.raises(error, match=mend) as raised:
        send(web.url + PATH)
    assert is_silent(str(raised.value))


def test_send_to_a_server_that_sends_us_elsewhere_does_not_go_there() -> None:
    with serving(taken) as other, serving(answering(308), Location=other.url) as web:
        with pytest.raises(InputRejected, match="elsewhere"):
            send(web.url)
        assert other.requests == []


def test_send_passes_by_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with serving(taken) as web:
        send(web.url)
    assert len(web.requests) == 1


def test_send_to_nobody_is_to_be_retried() -> None:
    with pytest.raises(Unavailable, match="reached"):
        send(f"http://127.0.0.1:{free_port()}{PATH}")


def test_send_answered_byte_by_byte_is_to_be_retried_in_time() -> None:
    with trickling(b"HTTP/1.1 200 OK\r\nX-Slow: ") as port:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="within 1 s"):
            send(f"http://127.0.0.1:{port}/", timeout_seconds=1)
        assert time.monotonic() - began < 5


# -- where to --


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_send_to_an_address_outside_the_allow_list_never_connects(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"http://{host}:{server.getsockname()[1]}{PATH}"
        with pytest.raises(Unavailable, match="allowed_addresses") as raised:
            send(url, allowed_addresses=[ELSEWHERE])
        with pytest.raises(Unavailable, match="allowed_addresses"):
            reach(settings(url, allowed_addresses=[ELSEWHERE]))
        with pytest.raises(BlockingIOError):
            server.accept()
    assert raised.value.reason == "address_not_allowed"
    assert is_silent(str(raised.value))


def test_send_to_a_name_that_leads_elsewhere_the_next_time_goes_where_it_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(taken) as web, resolving(monkeypatch, ["127.0.0.1"], ["192.0.2.7"]) as asked:
        send(at_name(web))
    ((_, headers, _),) = web.requests
    assert headers["Host"] == at_name(web).split("/")[2]
    assert asked == [HOST]


def test_send_to_a_name_of_several_addresses_takes_the_allowed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(taken) as web, resolving(monkeypatch, ["192.0.2.7", "127.0.0.1"]):
        send(at_name(web))
    assert len(web.requests) == 1


def test_send_to_a_name_without_an_address_is_to_be_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    with resolving(monkeypatch, []), pytest.raises(Unavailable, match="no address"):
        send(f"http://{HOST}{PATH}")


def test_allowed_address_written_as_ipv6_is_judged_as_the_ipv4_that_it_is() -> None:
    allowed = settings("http://hook").allowed_addresses
    assert allowed_address("::ffff:127.0.0.1", allowed) == "127.0.0.1"
    with pytest.raises(Unavailable):
        allowed_address("::1", allowed)
    with pytest.raises(Unavailable):
        allowed_address("::ffff:127.0.0.1", settings("http://hook", allowed_addresses=["::/0"]).allowed_addresses)


def at_name(web: Web) -> str:
    return web.url.replace("127.0.0.1", HOST)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> Any:
    """`HOST` leads to the first of `answers` when it is first looked up, and so on; gives the names that were asked for."""
    return _Resolving(monkeypatch, answers)


class _Resolving:
    """In place of the resolver: none that is real gives another address the next time it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: tuple[list[str], ...]) -> None:
        self._monkeypatch, self._answers, self._asked = monkeypatch, list(answers), list[str]()
        self._real = socket.getaddrinfo

    def __enter__(self) -> list[str]:
        self._monkeypatch.setattr(socket, "getaddrinfo", self._look_up)
        return self._asked

    def __exit__(self, *_: object) -> None:
        self._monkeypatch.undo()

    def _look_up(self, host: str, *rest: Any, **named: Any) -> list[Any]:
        if host != HOST:
            return self._real(host, *rest, **named)
        self._asked.append(host)
        found = [each for address in self._answers.pop(0) for each in self._real(address, *rest, **named)]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found


# -- TLS --


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificate(folder, "authority")
    make_certificate(folder, "named", issuer="authority", of=f"DNS:{HOST}")
    make_certificate(folder, "numbered", issuer="authority")
    return folder


def server_context(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return context


def test_send_over_tls_wants_the_certificate_of_the_name_and_not_of_the_address(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = {"ca_file": certificates / "authority.crt"}
    names: list[str | None] = []
    context = server_context(certificates, "named")
    context.sni_callback = lambda _, name, __: names.append(name)
    with serving(taken, tls=context) as web, resolving(monkeypatch, ["127.0.0.1"], ["127.0.0.1"]):
        send(at_name(web), tls=tls)
        assert "127.0.0.1" in reach(settings(at_name(web), tls=tls))
    assert (len(web.requests), names) == (1, [HOST, HOST])


def test_send_over_tls_to_the_certificate_of_another_sends_nothing(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = {"ca_file": certificates / "authority.crt"}
    with serving(taken, tls=server_context(certificates, "numbered")) as web, resolving(monkeypatch, *[["127.0.0.1"]] * 2):
        with pytest.raises(Unavailable) as raised:
            send(at_name(web) + PATH, tls=tls)
        with pytest.raises(Unavailable, match="TLS"):
            reach(settings(at_name(web), tls=tls))
    assert (raised.value.reason, web.requests) == ("tls", [])
    assert is_silent(str(raised.value))


# -- in the service --


@pytest.fixture
def house(units: UnitOfWorkFactory, engine: Engine) -> House:
    return House(units, engine)


def test_notice_not_taken_at_once_is_sent_again_as_it_was_kept(house: House, tmp_path: Path) -> None:
    answers = iter([(503, b""), (204, b"")])
    with serving(lambda: next(answers)) as web:
        report_id = composed(house, hook(web.url), tmp_path)
        with pytest.raises(Unavailable):
            house.flow.deliver_report(report_id, "hook", "notice")
        house.flow.deliver_report(report_id, "hook", "notice")
        house.flow.deliver_report(report_id, "hook", "notice")
    (_, first, body), (_, second, same) = web.requests
    assert (first["webhook-id"], body) == (second["webhook-id"], same)
    assert Webhook(SECRET).verify(same, second)["type"] == "report.ready"
    assert state_of(house) == ("delivered", None)


def test_notice_refused_for_good_is_kept_as_refused_with_what_to_mend(house: House, tmp_path: Path) -> None:
    with serving(answering(410)) as web:
        report_id = composed(house, hook(web.url + PATH), tmp_path)
        house.flow.deliver_report(report_id, "hook", "notice")
    state, error = state_of(house)
    assert state == "refused"
    assert error is not None
    assert "410" in error
    assert is_silent(error)


def composed(house: House, destination: dict[str, Any], data_dir: Path) -> str:
    """A report whose notice is due at the destination, which the service made from its settings."""
    service = Service(Settings.model_validate({"data_dir": data_dir, "destinations": [destination]}))
    house.flow = replace(
        house.flow, destinations=service.destinations, renderers={"notice": service.rendering.renderers({"notice"})["notice"]}
    )
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    while "deliver_report" not in house.waiting():
        house.work_one()
    report = house.report()
    assert report is not None
    return report.report_id


def state_of(house: House) -> tuple[str, str | None]:
    report = house.report()
    assert report is not None
    (delivery,) = report.delivery
    return delivery.state, delivery.last_error


def test_notice_is_rendered_only_where_a_destination_takes_it(tmp_path: Path) -> None:
    def kinds(*destinations: dict[str, Any]) -> set[str]:
        database = {"url": "postgresql://nobody@127.0.0.1:1/none"}
        tree = {"data_dir": tmp_path, "database": database, "destinations": destinations}
        return set(Service(Settings.model_validate(tree)).flow.renderers)

    assert kinds() == {"sr", "ko"}
    assert kinds(hook("http://hook.example")) == {"sr", "ko", "notice"}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is logged at the lowest level."""
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logging(format="json", level="DEBUG", role="worker", stream=stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_sending_and_reaching_write_no_secret_no_path_and_no_answer(written: io.StringIO) -> None:
    with serving(answering(400)) as web, capture_logs() as logs:
        with pytest.raises(InputRejected) as refused:
            send(web.url + PATH)
        logging.getLogger("test").warning("refused", exc_info=refused.value)
        reach(settings(web.url + PATH))
    assert "refused" in written.getvalue()
    assert is_silent(f"{written.getvalue()}{logs}")


def test_settings_told_to_people_hold_no_secret_and_no_path() -> None:
    told = settings(f"https://{HOST}:8443{PATH}")
    assert told.address == f"https://{HOST}:8443"
    assert SECRET not in f"{told!r}{told.model_dump_json()}"
