"""The notice that there is a report: what it says, and that it names nobody."""

import json
from datetime import timedelta, timezone
from typing import Any

import pytest

from service.core.render.notice import render_notice
from service.core.report import Report, ReportStatus
from tests.calf_report import STUDY_UID, calf_report, header


def notice(report: Report) -> Any:
    return json.loads(render_notice(report))


def test_notice_of_a_first_version_says_that_it_is_ready_and_where() -> None:
    report = calf_report()
    assert notice(report) == {
        "type": "report.ready",
        "timestamp": "2026-11-20T09:30:15.250000Z",
        "data": {
            "study_instance_uid": STUDY_UID,
            "report_id": report.report_id,
            "version": 1,
            "status": "preliminary",
            "predecessor": None,
            "links": {
                "report": f"/api/v1/reports/{report.report_id}",
                "newest": f"/api/v1/studies/{STUDY_UID}/report",
            },
        },
    }


def test_notice_of_a_later_version_says_that_it_amends_and_whom() -> None:
    first = calf_report()
    told = notice(calf_report(previous=first))
    assert (told["type"], told["data"]["version"], told["data"]["predecessor"]) == ("report.amended", 2, first.report_id)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (ReportStatus.FINAL, "report.signed"),
        (ReportStatus.AMENDED, "report.amended"),
        (ReportStatus.CANCELLED, "report.cancelled"),
    ],
)
def test_notice_of_what_a_person_made_of_a_report_says_so(status: ReportStatus, kind: str) -> None:
    told = notice(calf_report().model_copy(update={"status": status}))
    assert (told["type"], told["data"]["status"]) == (kind, status.value)


def test_notice_of_the_same_report_is_the_same_bytes_in_every_time_zone() -> None:
    report = calf_report()
    elsewhere = report.created_at.astimezone(timezone(timedelta(hours=9)))
    assert render_notice(report) == render_notice(report.model_copy(update={"created_at": elsewhere}))


def test_notice_holds_nothing_of_patient_order_or_findings() -> None:
    canaries = {name: f"Canary-{name}" for name in type(header()).model_fields if name != "study_instance_uid"}
    report = calf_report(study=header(**canaries)).model_copy(update={"impression": "Canary", "signed_by": "Canary"})
    told = render_notice(report).decode()
    assert "Canary" not in told
    assert "thickness" not in told
    assert told.isascii()
