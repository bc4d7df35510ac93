"""What FHIR servers answer to a transaction, or do not: taken, sent again or refused, and no word of theirs kept."""

import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from service.adapters.fhir_server import probe
from service.errors import InputRejected, Unavailable
from service.records import RenderedObject
from tests.certificates import make_certificates
from tests.fhir_server import FhirServer, outcome
from tests.integration.fhir_push_parts import TOKEN, capability, is_silent, rendered, running, send, settings
from tests.running import free_port
from tests.web_server import serving, trickling


@pytest.fixture(scope="module")
def report() -> RenderedObject:
    return rendered()


@pytest.mark.parametrize(
    ("status", "error", "word"),
    [
        (400, InputRejected, "400"),
        (401, InputRejected, "token"),
        (403, InputRejected, "right"),
        (404, InputRejected, "url"),
        (412, InputRejected, "more than one match"),
        (422, InputRejected, "422"),
        (307, InputRejected, "elsewhere"),
        (408, Unavailable, "408"),
        (409, Unavailable, "409"),
        (425, Unavailable, "425"),
        (429, Unavailable, "429"),
        (500, Unavailable, "500"),
        (503, Unavailable, "503"),
    ],
)
def test_send_answered_otherwise_is_refused_or_retried_by_its_status(
    status: int, error: type[Exception], word: str, report: RenderedObject
) -> None:
    with serving(lambda: (status, b"Doe is unknown here")) as web, pytest.raises(error, match=word) as raised:
        send(web.url, report, token=TOKEN)
    assert is_silent(str(raised.value))


@pytest.mark.parametrize(
    ("issue", "told"),
    [
        ({"code": "invariant", "expression": ["Bundle.entry[3].resource.code"]}, "invariant at Bundle.entry[3].resource.code"),
        ({"code": "value", "expression": ["Patient.name[0].family.Doe"]}, "value at Patient.name[0].family."),
        ({"code": "required", "expression": ["Bundle.entry[0].resource.ofType(Patient).name"]}, "ofType(Patient).name"),
        ({"code": "value", "expression": ["Doe"]}, "says: value."),
        ({"code": "value", "expression": ["Patient.where(name='Doe')"]}, "value at Patient."),
    ],
)
def test_refusal_tells_the_coded_part_of_the_outcome_and_none_of_its_words(
    issue: dict[str, Any], told: str, report: RenderedObject
) -> None:
    words: dict[str, Any] = {
        "diagnostics": "Doe^Jane P-42 is no Canary",
        "details": {"text": "A-17", "coding": [{"code": "Doe"}]},
    }
    body = outcome(**issue, **words)
    with serving(lambda: (422, body)) as web, pytest.raises(InputRejected) as refused:
        send(web.url, report, token=TOKEN)
    assert told in str(refused.value)
    assert is_silent(str(refused.value))


def test_refusal_with_a_code_that_is_none_repeats_nothing(report: RenderedObject) -> None:
    with serving(lambda: (422, outcome("Doe"))) as web, pytest.raises(InputRejected, match=r"\(422\)\.$"):
        send(web.url, report)


def test_refusal_that_the_server_calls_transient_is_to_be_retried(report: RenderedObject) -> None:
    with serving(lambda: (400, outcome("lock-error"))) as web, pytest.raises(Unavailable, match="lock-error"):
        send(web.url, report)


def response(*statuses: str) -> bytes:
    entries = [{"response": {"status": status}} for status in statuses]
    return json.dumps({"resourceType": "Bundle", "type": "transaction-response", "entry": entries}).encode()


@pytest.mark.parametrize(
    "body", [b"", b"<html>Doe, please sign in</html>", b"[1]", response("201 Created"), outcome("informational"), b"[" * 100_000]
)
def test_send_answered_with_a_success_that_confirms_nothing_is_to_be_retried(body: bytes, report: RenderedObject) -> None:
    with serving(lambda: (200, body)) as web, pytest.raises(Unavailable, match="did not say") as raised:
        send(web.url, report)
    assert raised.value.reason == "not_confirmed"
    assert is_silent(str(raised.value))


@pytest.mark.parametrize(("bad", "error"), [("422 Doe", InputRejected), ("503", Unavailable), ("", Unavailable)])
def test_send_of_which_a_part_was_not_taken_is_not_delivered(bad: str, error: type[Exception], report: RenderedObject) -> None:
    number = len(json.loads(report.content)["entry"])
    body = response(*["200 OK"] * (number - 1), bad)
    with serving(lambda: (200, body)) as web, pytest.raises(error) as raised:
        send(web.url, report)
    assert is_silent(str(raised.value))


def test_send_of_which_nothing_had_to_be_changed_is_delivered(report: RenderedObject) -> None:
    body = response(*["304"] * len(json.loads(report.content)["entry"]))
    with serving(lambda: (200, body)) as web:
        send(web.url, report)


def test_send_to_a_server_that_sends_us_elsewhere_does_not_go_there(report: RenderedObject) -> None:
    with running(FhirServer()) as other, serving(lambda: (308, b""), Location=other.url) as web:
        with pytest.raises(InputRejected, match="elsewhere"):
            send(web.url, report, token=TOKEN)
        assert other.requests == []


def test_send_to_nobody_is_to_be_retried(report: RenderedObject) -> None:
    with pytest.raises(Unavailable, match="reached"):
        send(f"http://127.0.0.1:{free_port()}/fhir", report)


def test_send_never_answered_is_to_be_retried_in_time(report: RenderedObject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable, match=r"within 0\.5 s"):
        send(f"http://127.0.0.1:{silent.getsockname()[1]}/fhir", report, timeout_seconds=0.5)


def test_send_answered_byte_by_byte_is_to_be_retried_in_time(report: RenderedObject) -> None:
    with trickling(b"HTTP/1.1 200 OK\r\nX-Slow: ") as port:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="within 1 s"):
            send(f"http://127.0.0.1:{port}/fhir", report, timeout_seconds=1)
        assert time.monotonic() - began < 5


# -- TLS --


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def mutual(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    context.load_verify_locations(folder / "authority.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_send_over_tls_with_certificates_of_both_delivers_and_without_ours_sends_nothing(
    certificates: Path, report: RenderedObject
) -> None:
    trust = {"ca_file": certificates / "authority.crt"}
    own = {"certificate_file": certificates / "client.crt", "key_file": certificates / "client.key"}
    with running(FhirServer(), tls=mutual(certificates)) as web:
        with pytest.raises(Unavailable):
            send(web.url, report, tls=trust)
        assert web.requests == []
        send(web.url, report, tls={**trust, **own})
    assert len(web.requests) == 1


# -- settings, and the doctor's look --


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "https://user:Canary@record.example/fhir"}, "credentials have settings of their own"),
        ({"token": TOKEN, "username": "u", "password": "Canary"}, "give a token, or username and password"),
        ({"tls": {"ca_file": "/ca.pem"}}, "tls needs an https"),
        ({"patient_systems": {"HOSPITAL": "no uri"}}, "absolute URI"),
        ({"kinds": ["sr"]}, "'fhir'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings(**{"url": "http://record.example/fhir", **changes})


def test_probe_asks_for_the_capability_statement_with_our_credentials() -> None:
    with serving(lambda: (200, capability())) as web:
        assert "transactions" in probe(settings(web.url, token=TOKEN))
    ((path, headers, _),) = web.requests
    assert (path, headers["Authorization"]) == ("/rs/metadata", f"Bearer {TOKEN}")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, b""), "credentials"),
        ((404, b""), "404"),
        ((503, b"Canary"), "503"),
        ((200, b"<html>Canary</html>"), "CapabilityStatement"),
        ((200, capability(interaction=[{"code": "batch"}])), "no transactions"),
        ((200, capability(resource=[{"type": "Patient", "updateCreate": False}])), "updateCreate"),
        ((200, capability().replace(b"4.0.1", b"3.0.2")), "R4"),
    ],
)
def test_probe_of_a_server_that_cannot_take_reports_says_why(answer: tuple[int, bytes], said: str) -> None:
    with serving(lambda: answer) as web, pytest.raises(Unavailable, match=said) as raised:
        probe(settings(web.url))
    assert is_silent(str(raised.value))
