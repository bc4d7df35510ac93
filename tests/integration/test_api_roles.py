"""Which role each route needs. A route that is not in the table fails the test: whoever adds one says here who may use it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import STUDY, House, dicom_file, routes_of, upload

_STUDY = "/dicom-web/studies/{study_instance_uid}"
_SERIES = f"{_STUDY}/series/{{series_instance_uid}}"
_INSTANCE = f"{_SERIES}/instances/{{sop_instance_uid}}"
#: Of whatever is retrieved.
_FORMS = ("", "/metadata", "/rendered", "/thumbnail")
PUBLIC = (
    "GET /healthz",
    "GET /readyz",
    "GET /sign-in",
    "POST /sign-in",
    "GET /sign-in/{token}",
    "GET /sign-in/{token}/studies/{study_instance_uid}",
)
NEEDED = {
    Role.VIEWER: (
        "GET /openapi.json",
        "HEAD /openapi.json",
        "GET /metrics",
        "GET /api/v1/studies",
        "GET /api/v1/studies/{study_instance_uid}",
        "GET /api/v1/studies/{study_instance_uid}/report",
        "GET /api/v1/reports/{report_id}",
        "GET /api/v1/reports/{report_id}/versions",
        "GET /api/v1/reports/{report_id}/overlays/{sop_instance_uid}",
        "GET /fhir/metadata",
        "GET /fhir/DiagnosticReport/{report_id}",
        "GET /fhir/DiagnosticReport/{report_id}/_history/{version}",
        "GET /fhir/Observation/{observation_id}",
        "GET /fhir/ImagingStudy/{study_instance_uid}",
        "GET /fhir/DiagnosticReport",
        "GET /fhir/ImagingStudy",
        "GET /fhir/Observation",
        "GET /api/v1/jobs",
        "GET /api/v1/jobs/{job_id}",
        "GET /api/v1/events",
        "GET /api/v1/models",
        "GET /api/v1/models/shadow",
        "GET /api/v1/me",
        "POST /api/v1/me/password",
        "POST /sign-out",
        "GET /account",
        "POST /account/password",
        "GET /",
        "POST /search",
        "GET /studies/{study_instance_uid}",
        "GET /studies/{study_instance_uid}/cines/{sop_instance_uid}",
        "GET /studies/{study_instance_uid}/cines/{sop_instance_uid}/frames/{first}-{last}",
        "GET /studies/{study_instance_uid}/cines/{sop_instance_uid}/frames/{number}.jpg",
        "GET /studies/{study_instance_uid}/review",
        "GET /live",
        "GET /docs",
        "GET /ohif",
        "GET /ohif/{path:path}",
        "GET /api/v1/studies/{study_instance_uid}/explain",
        "GET /dicom-web/studies",
        "GET /dicom-web/series",
        "GET /dicom-web/instances",
        *(f"GET {place}{form}" for place in (_STUDY, _SERIES, _INSTANCE) for form in _FORMS),
        f"GET {_STUDY}/series",
        f"GET {_STUDY}/instances",
        f"GET {_SERIES}/instances",
        f"GET {_INSTANCE}/bulkdata/{{place:path}}",
        f"GET {_INSTANCE}/frames",
        f"GET {_INSTANCE}/frames/{{frames}}",
        f"GET {_INSTANCE}/frames/{{frames}}/rendered",
        f"GET {_INSTANCE}/frames/{{frames}}/thumbnail",
    ),
    Role.RADIOLOGIST: (
        "POST /api/v1/studies",
        "POST /api/v1/studies/{study_instance_uid}/complete",
        "POST /api/v1/studies/{study_instance_uid}/reanalyse",
        "POST /api/v1/studies/{study_instance_uid}/acknowledge-identity",
        "POST /studies/{study_instance_uid}/complete",
        "PATCH /api/v1/reports/{report_id}",
        "POST /api/v1/reports/{report_id}/preview",
        "POST /api/v1/reports/{report_id}/sign",
        "POST /api/v1/reports/{report_id}/cancel",
        "POST /dicom-web/studies",
        f"POST {_STUDY}",
    ),
    Role.ADMINISTRATOR: (
        "POST /api/v1/jobs/{job_id}/requeue",
        "GET /api/v1/deliveries",
        "POST /api/v1/deliveries/{delivery_id}/requeue",
        "POST /api/v1/deliveries/{delivery_id}/abandon",
        "GET /api/v1/destinations",
        "POST /api/v1/destinations/{name}/check",
        "GET /api/v1/associations",
        "GET /api/v1/audit",
        "POST /api/v1/sign-in-links",
        "GET /api/v1/users",
        "POST /api/v1/users",
        "GET /api/v1/users/{user_id}",
        "PATCH /api/v1/users/{user_id}",
        "GET /operations",
        "POST /operations/jobs/{job_id}/requeue",
        "POST /operations/deliveries/{delivery_id}/requeue",
        "POST /operations/deliveries/{delivery_id}/abandon",
        "POST /operations/destinations/{name}/check",
        "GET /operations/associations",
        "GET /users",
        "POST /users",
        "POST /users/{user_id}/role",
        "POST /users/{user_id}/disable",
        "POST /users/{user_id}/enable",
        "POST /users/{user_id}/reset",
        "POST /users/link",
        "GET /audit",
    ),
}
#: They answer for as long as one listens.
STREAMS = frozenset({"GET /api/v1/events"})


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path) as made:
        yield made


def test_role_that_each_route_needs_is_stated(house: House) -> None:
    stated = [*PUBLIC, *(route for routes in NEEDED.values() for route in routes)]
    assert len(stated) == len(set(stated))
    assert {f"{method} {path}" for method, path in routes_of(house.app)} == set(stated)


@pytest.mark.parametrize("role", Role)
def test_role_opens_its_routes_and_those_of_lesser_ones_and_no_more(house: House, role: Role) -> None:
    client = house.client(house.key(role))
    for needed, routes in NEEDED.items():
        for route in routes:
            if route in STREAMS:
                continue
            method, path = route.split(" ")
            answer = client.request(method, re.sub(r"\{[\w:]+\}", "1", path))
            was_the_role = answer.status_code == 403 and "needs the role" in answer.text
            assert was_the_role == (not role.includes(needed)), (route, answer.status_code)
            assert answer.status_code != 401, route


def test_viewer_of_a_study_without_a_report_is_not_shown_what_it_may_not_do(house: House) -> None:
    upload(house.client(), dicom_file()).raise_for_status()
    button = f'action="/studies/{STUDY}/complete"'
    assert button not in house.person(Role.VIEWER, "vera").get(f"/studies/{STUDY}").text
    assert button in house.person(Role.RADIOLOGIST, "rita").get(f"/studies/{STUDY}").text
