"""Reports pushed to a FHIR R4 server as transactions: once each, whatever is sent twice, and no word of its answers kept."""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.adapters.fhir_server import FhirDestination, probe
from service.bootstrap import Service
from service.core.instance import InstanceAttributes
from service.core.report import Report
from service.destination_settings import FhirDestinationSettings
from service.errors import InputRejected, Unavailable
from service.ports import ReceivedInstance, RenderedObject, StoredInstance, UnitOfWorkFactory
from service.rendering import Rendering
from service.settings import Settings
from tests.calf_report import calf_report, header, instance
from tests.certificates import make_certificates
from tests.fhir_server import FhirServer, outcome
from tests.integration.test_flow import STUDY, House, received
from tests.running import free_port
from tests.web_server import Web, serving, trickling

TOKEN, SYSTEM = "Canary-token-7", "urn:oid:1.2.840.99"
SECRETS = (TOKEN, "Doe", "P-42", "A-17", "Canary")


def stored(attributes: InstanceAttributes) -> StoredInstance:
    given = ReceivedInstance(attributes=attributes, digest=received().digest, storage_key="k", size_bytes=1)
    return StoredInstance(
        instance_id=1,
        attributes=attributes,
        digest=given.digest,
        storage_key="k",
        size_bytes=1,
        disposition="current",
        is_new=True,
        identity_changed=False,
        previous_study_instance_uid=None,
        is_current=True,
        is_returned=False,
        called_ae_title=None,
        calling_ae_title=None,
        received_at=calf_report().created_at,
    )


def rendered(report: Report | None = None) -> RenderedObject:
    (made,) = Rendering().renderers({"fhir"})["fhir"](report or calf_report(), [stored(instance())], [])
    return made


@pytest.fixture(scope="module")
def report() -> RenderedObject:
    return rendered()


def destination(url: str, **changes: Any) -> dict[str, Any]:
    return {"protocol": "fhir", "name": "record", "url": url, "timeout_seconds": 10, **changes}


def settings(url: str, **changes: Any) -> FhirDestinationSettings:
    return FhirDestinationSettings.model_validate(destination(url, **changes))


def send(url: str, what: RenderedObject, **changes: Any) -> None:
    FhirDestination(settings=settings(url, **changes)).send(what)


@contextmanager
def running(server: FhirServer, *, tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    with serving(lambda: server.answer_last(web), tls=tls) as web:
        yield web


def is_silent(text: str) -> bool:
    return not any(secret in text for secret in SECRETS)


# -- what arrives --


def test_report_arrives_whole_with_every_reference_leading_to_a_resource_of_the_server(report: RenderedObject) -> None:
    server = FhirServer()
    with running(server) as web:
        send(web.url, report, token=TOKEN)
    ((_, headers, body),) = web.requests
    assert (headers["Authorization"], headers["Prefer"], body) == (f"Bearer {TOKEN}", "return=minimal", report.content)
    (made,) = server.of_type("DiagnosticReport")
    assert made["status"] == "preliminary"
    assert [form["contentType"] for form in made["presentedForm"]] == ["application/pdf"]
    results = [server.resources[one["reference"]] for one in made["result"]]
    assert {one["code"]["text"] for one in results} >= {"Thickness", "Pennation angle"}
    (study,) = made["imagingStudy"]
    assert server.resources[study["reference"]]["identifier"][0]["value"] == "urn:oid:2.25.1001"
    assert server.resources[made["subject"]["reference"]]["identifier"][0]["value"] == "P-42"


def test_report_sent_twice_makes_nothing_twice(report: RenderedObject) -> None:
    server = FhirServer()
    with running(server) as web:
        send(web.url, report)
        once = dict(server.resources)
        send(web.url, report)
    assert server.resources == once
    assert len(server.of_type("Patient")) == len(server.of_type("DiagnosticReport")) == 1


def test_next_version_is_a_report_beside_the_first_of_the_same_patient_and_study(report: RenderedObject) -> None:
    server = FhirServer()
    with running(server) as web:
        send(web.url, report)
        send(web.url, rendered(calf_report(previous=calf_report())))
    assert [len(server.of_type(kind)) for kind in ("DiagnosticReport", "Patient", "ImagingStudy")] == [2, 1, 1]


def test_study_that_the_server_has_is_referred_to_and_left_as_it_is(report: RenderedObject) -> None:
    server = FhirServer()
    known = server.add(
        "ImagingStudy", identifier=[{"system": "urn:dicom:uid", "value": "urn:oid:2.25.1001"}], description="of the PACS"
    )
    with running(server) as web:
        send(web.url, report)
    (made,) = server.of_type("DiagnosticReport")
    assert made["imagingStudy"] == [{"reference": known}]
    assert server.resources[known]["description"] == "of the PACS"


# -- the patient --


@pytest.mark.parametrize("number", ["P-42", "P,4|2&$ü"])
def test_patient_whose_issuer_has_a_system_is_the_one_that_the_server_knows(number: str) -> None:
    server = FhirServer()
    known = server.add("Patient", identifier=[{"system": SYSTEM, "value": number}], active=True)
    server.add("Patient", identifier=[{"system": "urn:other", "value": number}])
    study = header(issuer_of_patient_id="HOSPITAL", patient_id=number)
    with running(server) as web:
        send(web.url, rendered(calf_report(study=study)), patient_systems={"HOSPITAL": SYSTEM})
    (made,) = server.of_type("DiagnosticReport")
    assert made["subject"] == {"reference": known}
    assert set(server.resources[known]) == {"resourceType", "id", "identifier", "active"}
    assert len(server.of_type("Patient")) == 2


def test_patient_that_the_server_does_not_know_is_made_once_with_the_system(report: RenderedObject) -> None:
    server = FhirServer()
    with running(server) as web:
        send(web.url, report, patient_systems={"": SYSTEM})
        send(web.url, report, patient_systems={"": SYSTEM})
    (made,) = server.of_type("Patient")
    assert made["identifier"][0] == {"value": "P-42", "system": SYSTEM}


def test_patient_of_an_issuer_without_a_system_is_never_matched() -> None:
    server = FhirServer()
    server.add("Patient", identifier=[{"system": SYSTEM, "value": "P-42"}])
    elsewhere = rendered(calf_report(study=header(issuer_of_patient_id="ELSEWHERE")))
    with running(server) as web:
        send(web.url, elsewhere, patient_systems={"HOSPITAL": SYSTEM, "": SYSTEM})
    assert len(server.of_type("Patient")) == 2


def test_patient_whom_the_server_has_twice_is_a_refusal_that_says_so(report: RenderedObject) -> None:
    server = FhirServer()
    for _ in range(2):
        server.add("Patient", identifier=[{"system": SYSTEM, "value": "P-42"}])
    with running(server) as web, pytest.raises(InputRejected, match=r"more than one match.*multiple-matches") as refused:
        send(web.url, report, patient_systems={"": SYSTEM})
    assert is_silent(str(refused.value))
    assert not server.of_type("DiagnosticReport")


# -- what a server answers --


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


# -- in the service --


@pytest.fixture
def house(units: UnitOfWorkFactory, engine: Engine) -> House:
    return House(units, engine)


def composed(house: House, url: str, data_dir: Path) -> str:
    """A report whose transaction is due at the destination, which the service made from its settings."""
    service = Service(Settings.model_validate({"data_dir": data_dir, "destinations": [destination(url)]}))
    renderers = {"fhir": service.rendering.renderers({"fhir"})["fhir"]}
    house.flow = replace(house.flow, destinations=service.destinations, renderers=renderers)
    house.reader.uid_of = lambda _: "1.2.3"
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


def test_report_not_taken_at_once_is_sent_again_as_it_was_kept(house: House, tmp_path: Path) -> None:
    server = FhirServer()
    failures = iter([(503, b"")])
    with serving(lambda: next(failures, None) or server.answer_last(web)) as web:
        report_id = composed(house, web.url, tmp_path)
        with pytest.raises(Unavailable):
            house.flow.deliver_report(report_id, "record", "fhir")
        house.flow.deliver_report(report_id, "record", "fhir")
        house.flow.deliver_report(report_id, "record", "fhir")
    (_, _, first), (_, _, second) = web.requests
    assert first == second
    assert [one["id"] for one in server.of_type("DiagnosticReport")] == [report_id]
    assert state_of(house) == ("delivered", None)


def test_report_refused_for_good_keeps_the_coded_reason(house: House, tmp_path: Path) -> None:
    body = outcome("business-rule", diagnostics="Ivanov P1", expression=["Bundle.entry[0].resource"])
    with serving(lambda: (422, body)) as web:
        report_id = composed(house, web.url, tmp_path)
        house.flow.deliver_report(report_id, "record", "fhir")
    state, error = state_of(house)
    assert state == "refused"
    assert error == "The server refused the object for good (422). It says: business-rule at Bundle.entry[0].resource."


def test_transaction_is_rendered_only_where_a_destination_takes_it(tmp_path: Path) -> None:
    def kinds(*destinations: dict[str, Any]) -> set[str]:
        database = {"url": "postgresql://nobody@127.0.0.1:1/none"}
        tree = {"data_dir": tmp_path, "database": database, "destinations": destinations}
        return set(Service(Settings.model_validate(tree)).flow.renderers)

    assert kinds() == {"sr", "ko"}
    assert kinds(destination("http://record.example/fhir")) == {"sr", "ko", "fhir"}


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


def capability(**changes: Any) -> bytes:
    rest = {"mode": "server", "interaction": [{"code": "transaction"}], "resource": [{"type": "Patient", "updateCreate": True}]}
    return json.dumps({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": [rest | changes]}).encode()


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
