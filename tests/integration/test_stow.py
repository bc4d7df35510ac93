"""STOW-RS to a real Orthanc, and to a small server for the faults that no real one can be made to show."""

import io
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydicom import dcmread
from structlog.testing import capture_logs

from service.adapters.stow import StowDestination, probe
from service.core.render.sr import render_sr
from service.destination_settings import StowDestinationSettings
from service.errors import InputRejected, Unavailable
from service.records import RenderedObject
from tests.calf_report import calf_report, instance
from tests.certificates import make_certificates
from tests.e2e.orthanc import dicom_web_orthanc
from tests.running import free_port
from tests.unit.test_stow_response import module
from tests.web_server import serving, trickling

USERNAME, PASSWORD, TOKEN = "sonomyo", "Canary-password-7", "Canary-token-7"
PATIENT = "Doe"


def rendered() -> RenderedObject:
    content = render_sr(calf_report(), [instance()])
    dataset = dcmread(io.BytesIO(content), stop_before_pixels=True)
    assert PATIENT in str(dataset.PatientName)
    return RenderedObject(
        sop_instance_uid=str(dataset.SOPInstanceUID),
        sop_class_uid=str(dataset.SOPClassUID),
        kind="sr",
        report_id="r",
        media_type="application/dicom",
        content=content,
    )


def settings(url: str, **changes: Any) -> StowDestinationSettings:
    return StowDestinationSettings.model_validate(
        {"protocol": "stow", "name": "web", "url": url, "timeout_seconds": 10, **changes}
    )


def send(url: str, *, what: RenderedObject | None = None, **changes: Any) -> None:
    StowDestination(settings=settings(url, **changes)).send(what or rendered())


def no_secret_in(text: str) -> bool:
    return not any(secret in text for secret in (USERNAME, PASSWORD, TOKEN, PATIENT))


# -- Orthanc --


@dataclass(frozen=True)
class Orthanc:
    rest: httpx2.Client
    url: str

    def trusted(self, **changes: Any) -> dict[str, Any]:
        """Settings that it takes."""
        return {"username": USERNAME, "password": PASSWORD, **changes}


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with dicom_web_orthanc(tmp_path_factory.mktemp("orthanc"), username=USERNAME, password=PASSWORD) as rest:
        yield Orthanc(rest, f"{str(rest.base_url).rstrip('/')}/dicom-web")


def test_send_to_orthanc_stores_the_very_bytes_and_once_more_is_delivered_too(orthanc: Orthanc) -> None:
    report = rendered()
    send(orthanc.url, what=report, **orthanc.trusted())
    send(orthanc.url, what=report, **orthanc.trusted())
    (stored,) = orthanc.rest.get("/instances").json()
    assert orthanc.rest.get(f"/instances/{stored}/file").content == report.content


def test_send_to_orthanc_of_an_object_that_it_cannot_take_is_refused_for_good(orthanc: Orthanc) -> None:
    dataset = dcmread(io.BytesIO(rendered().content))
    del dataset.StudyInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    with pytest.raises(InputRejected, match="0xC000"):
        send(orthanc.url, what=replace(rendered(), content=buffer.getvalue()), **orthanc.trusted())


def test_send_to_orthanc_with_a_wrong_password_is_refused_and_names_what_to_mend(orthanc: Orthanc) -> None:
    with pytest.raises(InputRejected, match="username and password") as refused:
        send(orthanc.url, **orthanc.trusted(password=PASSWORD[::-1]))
    assert no_secret_in(str(refused.value))


def test_send_to_orthanc_at_a_wrong_url_is_refused_and_names_the_setting(orthanc: Orthanc) -> None:
    with pytest.raises(InputRejected, match="url"):
        send(orthanc.url.replace("dicom-web", "dicomweb"), **orthanc.trusted())


def test_probe_of_orthanc_tells_what_is_wrong_and_what_is_well(orthanc: Orthanc) -> None:
    assert "answers" in probe(settings(orthanc.url, **orthanc.trusted()))
    with pytest.raises(Unavailable, match="credentials"):
        probe(settings(orthanc.url, **orthanc.trusted(password=PASSWORD[::-1])))
    with pytest.raises(Unavailable, match="DICOMweb"):
        probe(settings(orthanc.url.replace("dicom-web", "nothing"), **orthanc.trusted()))


def test_probe_of_a_server_that_confirms_by_search_tells_whether_it_searches(orthanc: Orthanc) -> None:
    assert "searches for instances" in probe(settings(orthanc.url, **orthanc.trusted(confirm_by_search={})))
    with serving(lambda: (400, b"")) as web, pytest.raises(Unavailable, match="leave confirm_by_search out"):
        probe(settings(web.url, confirm_by_search={}))


# -- faults --


def stored() -> tuple[int, bytes]:
    return 200, module(stored=rendered().sop_instance_uid)


def test_send_makes_one_multipart_post_of_the_very_bytes() -> None:
    with serving(stored) as web:
        send(f"{web.url}/", token=TOKEN)
    ((path, headers, body),) = web.requests
    assert path == "/rs/studies"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert "Transfer-Encoding" not in headers
    content_type = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    message = message_from_bytes(content_type + body, policy=policy.HTTP)
    assert message.get_content_type() == "multipart/related"
    assert message.get_param("type") == "application/dicom"
    (part,) = message.iter_parts()
    assert part.get_content_type() == "application/dicom"
    assert rendered().content in body


def test_send_answered_with_a_warning_is_delivered_and_logged_without_identity() -> None:
    uid = rendered().sop_instance_uid
    with serving(lambda: (202, module(stored=uid, warning=0xB007))) as web, capture_logs() as logs:
        send(web.url, token=TOKEN)
    (entry,) = [each for each in logs if each["event"] == "stored_with_warning"]
    assert (entry["destination"], entry["sop_instance_uid"], "0xB007" in entry["warning"]) == ("web", uid, True)
    assert no_secret_in(str(logs))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((409, module(failure=0x0122)), InputRejected),
        ((409, module(failure=0xA700)), Unavailable),
        ((202, module(failure=0xA900)), InputRejected),
        ((403, b"Doe has no right"), InputRejected),
        ((429, b""), Unavailable),
        ((503, b"Doe"), Unavailable),
        ((200, b"<html>Doe, please sign in</html>"), Unavailable),
    ],
)
def test_send_judged_by_what_the_answer_says_repeats_none_of_its_words(answer: tuple[int, bytes], error: type[Exception]) -> None:
    with serving(lambda: answer) as web, pytest.raises(error) as raised:
        send(web.url, token=TOKEN)
    assert no_secret_in(str(raised.value))


def test_send_to_a_server_that_sends_us_elsewhere_does_not_go_there() -> None:
    with serving(stored) as other, serving(lambda: (307, b""), Location=f"{other.url}/studies") as web:
        with pytest.raises(InputRejected, match="elsewhere"):
            send(web.url, token=TOKEN)
        assert other.requests == []


def test_send_passes_by_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with serving(stored) as web:
        send(web.url)
    assert len(web.requests) == 1


def test_send_answered_at_endless_length_is_to_be_retried() -> None:
    with serving(lambda: (200, b" " * (8 << 20))) as web, pytest.raises(Unavailable) as raised:
        send(web.url)
    assert raised.value.reason == "not_confirmed"


def test_send_to_nobody_is_to_be_retried() -> None:
    with pytest.raises(Unavailable, match="reached"):
        send(f"http://127.0.0.1:{free_port()}/rs", token=TOKEN)


def test_send_never_answered_is_to_be_retried_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable, match=r"within 0\.5 s"):
        send(f"http://127.0.0.1:{silent.getsockname()[1]}/rs", timeout_seconds=0.5)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_send_answered_byte_by_byte_is_to_be_retried_in_time(head: bytes) -> None:
    with trickling(head) as port:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            send(f"http://127.0.0.1:{port}/rs", timeout_seconds=1)
        assert time.monotonic() - began < 5


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def mutual(folder: Path, name: str = "server") -> ssl.SSLContext:
    """Shows a certificate of `name` and wants one of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    context.load_verify_locations(folder / "authority.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_send_over_tls_with_certificates_of_both_delivers(certificates: Path) -> None:
    with serving(stored, tls=mutual(certificates)) as web:
        send(web.url, token=TOKEN, tls=own(certificates))
    assert len(web.requests) == 1


def own(folder: Path, *, ca: str = "authority") -> dict[str, Path]:
    return {"ca_file": folder / f"{ca}.crt", "certificate_file": folder / "client.crt", "key_file": folder / "client.key"}


@pytest.mark.parametrize(("server", "ca"), [("server", "stranger"), ("elsewhere", "authority")])
def test_send_over_tls_to_a_server_that_we_do_not_trust_sends_nothing_and_says_why(
    certificates: Path, server: str, ca: str
) -> None:
    with serving(stored, tls=mutual(certificates, server)) as web, pytest.raises(Unavailable) as raised:
        send(web.url, token=TOKEN, tls=own(certificates, ca=ca))
    assert raised.value.reason == "tls"
    assert web.requests == []
    assert no_secret_in(str(raised.value))


def test_send_over_tls_to_a_server_that_does_not_trust_us_sends_nothing(certificates: Path) -> None:
    with serving(stored, tls=mutual(certificates)) as web, pytest.raises(Unavailable):
        send(web.url, token=TOKEN, tls={"ca_file": certificates / "authority.crt"})
    assert web.requests == []


def test_send_without_its_ca_file_is_to_be_retried_and_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"ca_file.*missing\.crt"):
        send(f"https://127.0.0.1:{free_port()}/rs", tls={"ca_file": tmp_path / "missing.crt"})
