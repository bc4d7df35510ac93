"""Report pages: each version shows the pictures that it rests on; that of one file is UTF-8."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from service.core.report import RESEARCH_USE, Report
from service.ports import UnitOfWorkFactory
from service.rendering import Rendering
from tests.integration.api_parts import STUDY, House, dicom_file, reported
from tests.running import ROOT


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Each analysis draws another picture, and pages tell which they show."""
    # The drawing itself is tested elsewhere: the real one draws the same picture each time, which tells no versions apart.
    drawn = iter([b"first", b"second", b"third"])
    monkeypatch.setattr("service.analysing.draw_evidence", lambda _cine, _findings: next(drawn))
    with House(engine, units, tmp_path) as made:
        object.__setattr__(made.app.state.services, "render_page", page)
        yield made


def page(report: Report, pictures: Mapping[str, bytes], _: str) -> str:
    return f"version {report.version}: {pictures['1.2.3'].decode()}"


def test_page_of_an_older_version_shows_its_own_picture(house: House) -> None:
    client = reported(house)
    client.post(f"/api/v1/studies/{STUDY}/reanalyse").raise_for_status()
    house.work()
    newest = client.get(f"/api/v1/studies/{STUDY}/report").json()["report_id"]
    versions = client.get(f"/api/v1/reports/{newest}/versions").json()["versions"]
    pages = [client.get(f"/api/v1/reports/{one['report_id']}", headers={"Accept": "text/html"}).text for one in versions]
    assert pages == ["version 1: first", "version 2: second"]


def test_pdf_of_an_older_version_is_made_of_its_own_picture(house: House) -> None:
    client = reported(house)
    client.post(f"/api/v1/studies/{STUDY}/reanalyse").raise_for_status()
    house.work()
    newest = client.get(f"/api/v1/studies/{STUDY}/report", headers={"Accept": "application/pdf"})
    assert (newest.headers["content-type"], newest.content) == ("application/pdf", b"%PDF in en of version 2, 1 pictures")
    assert newest.headers["content-disposition"] == 'inline; filename="report.pdf"'
    report_id = newest.headers["etag"].strip('"')
    versions = client.get(f"/api/v1/reports/{report_id}/versions").json()["versions"]
    oldest = client.get(f"/api/v1/reports/{versions[0]['report_id']}", headers={"Accept": "application/pdf"})
    assert oldest.content == b"%PDF in en of version 1, 1 pictures"


def test_page_of_a_signed_version_is_what_the_person_saw_after_another_analysis(house: House) -> None:
    draft = reported(house).get(f"/api/v1/studies/{STUDY}/report").json()["report_id"]
    signed = house.reviewer().post(f"/api/v1/reports/{draft}/sign", headers={"If-Match": f'"{draft}"'})
    signed.raise_for_status()
    house.client().post(f"/api/v1/studies/{STUDY}/reanalyse").raise_for_status()
    house.work()
    address, html = f"/api/v1/studies/{STUDY}/report", {"Accept": "text/html"}
    pages = [house.client().get(address, params={"version": which}, headers=html).text for which in ("official", "draft")]
    assert pages == ["version 2: first", "version 3: second"]


def test_picture_of_a_version_cannot_be_changed(house: House) -> None:
    reported(house)
    with pytest.raises(DBAPIError, match="immutable"), house.engine.begin() as connection:
        connection.execute(text("UPDATE report_pictures SET picture = ''"))


def test_page_and_pdf_are_in_the_language_that_the_reader_prefers(house: House) -> None:
    object.__setattr__(house.app.state.services, "render_page", Rendering().html)
    client = reported(house)
    german = {"Accept-Language": "fr, de-CH;q=0.9, en;q=0.5"}
    address, headers = f"/api/v1/studies/{STUDY}/report", {"Accept": "text/html"}
    page = client.get(address, headers={**headers, **german})
    assert (page.headers["content-language"], page.headers["vary"]) == ("de", "Accept, Accept-Language")
    assert "Beurteilung" in page.text
    assert RESEARCH_USE in page.text
    assert client.get(address, headers=headers).headers["content-language"] == "en"
    pdf = client.get(f"/api/v1/studies/{STUDY}/report", headers={"Accept": "application/pdf", **german})
    assert (pdf.headers["content-language"], pdf.content) == ("de", b"%PDF in de of version 1, 1 pictures")
    wanted = {"Accept": "application/json", **german}
    answer = client.get(f"/api/v1/studies/{STUDY}/report", headers=wanted)
    assert "content-language" not in answer.headers
    assert answer.json() == client.get(f"/api/v1/studies/{STUDY}/report").json()


def test_service_set_to_german_says_so_unless_the_reader_prefers_english(house: House) -> None:
    object.__setattr__(house.app.state.services, "language", "de")
    client = reported(house)
    wanted = {"Accept": "application/pdf"}
    address = f"/api/v1/studies/{STUDY}/report"
    assert client.get(address, headers=wanted).headers["content-language"] == "de"
    assert client.get(address, headers={**wanted, "Accept-Language": "en-GB"}).headers["content-language"] == "en"
    resource = client.get(f"/fhir/DiagnosticReport/{client.get(address).json()['report_id']}").json()
    assert [form["language"] for form in resource["presentedForm"]] == ["de", "de"]
    assert base64.b64decode(resource["presentedForm"][1]["data"]).startswith(b"%PDF in de")


ANALYZE = """
import sys
from pathlib import Path
from service.bootstrap import Service
from service.commands.one_file import Plan, analyze_file
from service.adapters.instance_store import read_instance
from service.settings import Settings

file, output = map(Path, sys.argv[1:3])
attributes, _ = read_instance(file)
analyze_file(Service(Settings()), Plan(file, attributes, ()), output, *sys.argv[3:])
"""


def test_page_of_one_file_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    file = tmp_path / "cine.dcm"
    file.write_bytes(dicom_file(PatientName="Yamada^Tarou=山田^太郎"))
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", ANALYZE, str(file), str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **ascii_only}, check=True, timeout=60)
    assert "山田" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("setting", "wanted"), [("de", []), ("en", ["de"])])
def test_page_of_one_file_is_in_the_language_of_the_command_or_of_the_settings(
    tmp_path: Path, setting: str, wanted: list[str]
) -> None:
    file = tmp_path / "cine.dcm"
    file.write_bytes(dicom_file())
    command = [sys.executable, "-c", ANALYZE, str(file), str(tmp_path), *wanted]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "SONOMYO_LANGUAGE": setting}, check=True, timeout=60)
    assert "Nichts wurde gemessen" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Nothing was measured" in (tmp_path / "report.json").read_text(encoding="utf-8")
