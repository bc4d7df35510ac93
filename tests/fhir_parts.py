"""Reports as FHIR, for tests: bundles of them, and resources of these."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from service.core.findings import Finding, Interval
from service.core.instance import InstanceAttributes
from service.core.render import fhir
from service.core.render.published import Form, Published
from service.core.report import Report
from tests.calf_report import calf_report, cine_findings, instance, not_measured, quality

PAGE = b"<!doctype html><p>a report</p>"
PUBLISHED = Published(
    forms=(Form(media_type="text/html", content=PAGE), Form(media_type="application/pdf", content=b"%PDF-1.7")),
    wado_root="https://sonomyo.example/dicom-web",
)
INSTANCES = (instance(), instance("2.25.2"))
SIGNED = {"signed_by": "dr.grey", "signed_at": datetime(2026, 11, 21, tzinfo=UTC)}


def bundle_of(
    report: Report, *, instances: Sequence[InstanceAttributes] = INSTANCES, published: Published = PUBLISHED
) -> dict[str, Any]:
    found = json.loads(fhir.bundle(report, instances, published))
    assert isinstance(found, dict)
    return found


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def ids(bundle: dict[str, Any], kind: str) -> list[str]:
    return [made["id"] for made in resources(bundle, kind)]


def only(report: Report, kind: str) -> dict[str, Any]:
    (found,) = resources(bundle_of(report), kind)
    return found


def finding(**changes: Any) -> Finding:
    return cine_findings()[0].model_copy(update=changes)


def observed(**changes: Any) -> dict[str, Any]:
    return only(calf_report(findings=[finding(**changes)]), "Observation")


def components(observation: dict[str, Any]) -> dict[str, Any]:
    return {one["code"]["text"]: one for one in observation.get("component", [])}


EVERYTHING = (*cine_findings(), finding(interval=Interval(low=16.5, high=18.5, level=0.95)), not_measured(), quality())
