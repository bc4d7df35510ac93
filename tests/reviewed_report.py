"""The calf report after a person has worked on it, made by the functions that the service uses."""

from datetime import timedelta
from typing import Any

from service.core.amendment import Author
from service.core.identifiers import ReportID
from service.core.report import Report
from service.core.report_life import Changes, Making, amend, cancel, sign
from tests.calf_report import CREATED_AT, SOFTWARE, calf_report

AUTHOR = Author(user_id="u-7", full_name="Dr Anna Grau")
WHY = "the deep aponeurosis was taken too low"
ORGANIZATION = "Test Hospital"


def making(report: Report, *, official: Report | None = None, by: Author = AUTHOR) -> Making:
    """For the version after `report`, an hour later."""
    version = report.version + 1
    return Making(
        report_id=ReportID(f"00000000-0000-4000-8000-{version:012}"),
        version=version,
        at=CREATED_AT + timedelta(hours=version),
        by=by,
        organization=ORGANIZATION,
        official=official or report,
    )


def amended(report: Report | None = None, **changes: Any) -> Report:
    """A draft with another thickness and without the echo intensity; `changes` go before."""
    report = report or calf_report()
    asked = {
        "why": WHY,
        "findings": [
            {"action": "set", "finding_id": "2.25.1:thickness", "value": 18.4},
            {"action": "reject", "finding_id": "2.25.1:echo_intensity"},
        ],
        **changes,
    }
    return amend(report, Changes.model_validate(asked), making(report), compare=lambda _: (), software=SOFTWARE)


def signed(report: Report | None = None, *, official: Report | None = None) -> Report:
    """Of the amended draft, unless told otherwise."""
    report = report or amended()
    return sign(report, making(report, official=official))


def withdrawn(report: Report | None = None, *, why: str = "the cine is of another patient") -> Report:
    """A signed report that was of somebody else."""
    report = report or signed()
    return cancel(report, making(report), why=why)
