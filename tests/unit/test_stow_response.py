"""What the answer to a STOW-RS request means for the one object that was sent."""

import json
from typing import Any

import pytest

from service.core.stow import judge_store_response, read_store_response
from service.errors import InputRejected, Unavailable

UID = "2.25.5"


def module(*, failure: int | None = None, stored: str | None = None, warning: int | None = None) -> bytes:
    """DICOM JSON as a server writes it."""
    found: dict[str, Any] = {"00081198": {"vr": "SQ"}, "00081199": {"vr": "SQ"}}
    if failure is not None:
        found["00081198"]["Value"] = [{"00081155": element("UI", UID), "00081197": element("US", failure)}]
    if stored is not None:
        item = {"00081155": element("UI", stored)}
        found["00081199"]["Value"] = [item if warning is None else {**item, "00081196": element("US", warning)}]
    return json.dumps(found).encode()


def element(vr: str, value: object) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}


def native_model(*, tag: str, inner: str, value: str) -> bytes:
    """PS3.19 A.1, with the prefix that some servers write."""
    return f"""<?xml version="1.0" encoding="utf-8"?>
        <dcm:NativeDicomModel xmlns:dcm="http://dicom.nema.org/PS3.19/models/NativeDICOM">
          <dcm:DicomAttribute tag="{tag}" vr="SQ">
            <dcm:Item number="1">
              <dcm:DicomAttribute tag="00081155" vr="UI"><dcm:Value number="1">{UID}</dcm:Value></dcm:DicomAttribute>
              <dcm:DicomAttribute tag="{inner}" vr="US"><dcm:Value number="1">{value}</dcm:Value></dcm:DicomAttribute>
            </dcm:Item>
          </dcm:DicomAttribute>
        </dcm:NativeDicomModel>""".encode()


def judge(status: int, body: bytes) -> str:
    return judge_store_response(status, read_store_response(body), UID)


@pytest.mark.parametrize("status", [200, 202])
def test_answer_that_names_the_object_as_stored_is_a_success(status: int) -> None:
    assert judge(status, module(stored=UID)) == ""


def test_answer_in_a_list_of_one_is_read() -> None:
    assert judge(200, b"[" + module(stored=UID) + b"]") == ""


@pytest.mark.parametrize("warning", [0xB000, 0xB006, 0xB007])
def test_answer_with_a_warning_gives_it(warning: int) -> None:
    assert f"0x{warning:04X}" in judge(202, module(stored=UID, warning=warning))


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b"<html><body>Sign in</body></html>", b"\xff\xfe", b"[" * 100_000, module(stored="2.25.6")],
)
def test_success_that_does_not_name_the_object_is_to_be_sent_again(body: bytes) -> None:
    with pytest.raises(Unavailable, match="did not say") as raised:
        judge(200, body)
    assert raised.value.reason == "not_confirmed"


@pytest.mark.parametrize("status", [200, 202, 400, 409])
@pytest.mark.parametrize("reason", [0x0122, 0xA900, 0xA9FF, 0xC000, 0xC122])
def test_failure_for_good_is_refused_whatever_the_http_status(status: int, reason: int) -> None:
    with pytest.raises(InputRejected, match=f"0x{reason:04X}"):
        judge(status, module(failure=reason))


@pytest.mark.parametrize("status", [200, 202, 409])
@pytest.mark.parametrize("reason", [0xA700, 0xA7FF, 0x0110])
def test_failure_that_passes_is_to_be_sent_again(status: int, reason: int) -> None:
    with pytest.raises(Unavailable, match=f"0x{reason:04X}"):
        judge(status, module(failure=reason))


@pytest.mark.parametrize("reason", [0x0111, 0xB00E])
def test_duplicate_counts_as_delivered(reason: int) -> None:
    assert f"0x{reason:04X}" in judge(409, module(failure=reason))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 507])
@pytest.mark.parametrize("body", [b"", module(failure=0xC000), module(stored=UID)])
def test_status_that_passes_is_to_be_sent_again(status: int, body: bytes) -> None:
    with pytest.raises(Unavailable, match=str(status)):
        judge(status, body)


@pytest.mark.parametrize(
    ("status", "mend"),
    [(401, "token"), (403, "right"), (404, "url"), (405, "url"), (409, ""), (413, "limit"), (415, "url"), (418, "")],
)
def test_other_client_error_is_refused_and_says_what_to_mend(status: int, mend: str) -> None:
    with pytest.raises(InputRejected, match=str(status)) as raised:
        judge(status, b"")
    assert mend in str(raised.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_refused_and_asks_for_the_new_url(status: int) -> None:
    with pytest.raises(InputRejected, match="url"):
        judge(status, b"")


def test_failure_in_xml_is_read() -> None:
    with pytest.raises(InputRejected, match="0xA900"):
        judge(409, native_model(tag="00081198", inner="00081197", value="43264"))


def test_success_with_a_warning_in_xml_is_read() -> None:
    assert "0xB007" in judge(200, native_model(tag="00081199", inner="00081196", value=" 45063 "))


def test_xml_with_a_document_type_is_no_answer() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "bbbb">]>' + native_model(tag="00081199", inner="00081196", value="0").split(b"?>")[1]
    assert read_store_response(bomb) is None
