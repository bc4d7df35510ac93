"""That there is a report, as JSON for programs: where it is and what became of it, and nobody's identity.

Shaped as the Standard Webhooks specification advises (`type`, `timestamp`, `data`). A function of the report alone.
"""

import json
from datetime import UTC

from service.core.report import Report, ReportStatus

_TYPES = {
    ReportStatus.FINAL: "report.signed",
    ReportStatus.AMENDED: "report.amended",
    ReportStatus.CANCELLED: "report.cancelled",
}


def render_notice(report: Report) -> bytes:
    """One object in ASCII, its members in a fixed order, without spaces."""
    study_instance_uid = report.study.study_instance_uid
    notice = {
        "type": notice_type(report),
        "timestamp": report.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "data": {
            "study_instance_uid": study_instance_uid,
            "report_id": report.report_id,
            "version": report.version,
            "status": report.status.value,
            "predecessor": report.predecessor,
            "links": {
                "report": f"/api/v1/reports/{report.report_id}",
                "newest": f"/api/v1/studies/{study_instance_uid}/report",
            },
        },
    }
    return json.dumps(notice, separators=(",", ":")).encode()


def notice_type(report: Report) -> str:
    """`report.ready` for a first version, `report.amended` for what takes the place of another, or what a person made of it."""
    unsigned = "report.ready" if report.predecessor is None else "report.amended"
    return _TYPES.get(report.status, unsigned)
