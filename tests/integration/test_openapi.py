"""The committed OpenAPI document is that of the routes, and says of each what it needs."""

import json
from typing import Any

import pytest

from service.commands.openapi import COMMITTED, document


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    found = json.loads(document())
    assert isinstance(found, dict)
    return found


def test_openapi_committed_is_that_of_the_routes(described: dict[str, Any]) -> None:
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == described, "run `make openapi` and commit the result"


def test_openapi_asks_for_a_credential_everywhere_but_for_health(described: dict[str, Any]) -> None:
    assert described["security"] == [{"bearer": []}, {"session": []}]
    operations = [(path, operation) for path, methods in described["paths"].items() for operation in methods.values()]
    assert {path for path, operation in operations if operation.get("security") == []} == {"/healthz", "/readyz"}


def test_openapi_describes_every_error_as_a_problem_or_an_outcome(described: dict[str, Any]) -> None:
    for path, methods in described["paths"].items():
        expected = "application/fhir+json" if path.startswith("/fhir/") else "application/problem+json"
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                # Of STOW-RS alone it is an answer, and no problem, that nothing was stored (PS3.18 10.5.3).
                if int(status) >= 400 and (path.split("/")[1], status) != ("dicom-web", "409"):
                    assert list(answer["content"]) == [expected], (path, status)


REPORT = (
    "report_id version status study created_at signed_by signed_at predecessor impression limitations findings provenance "
    "delivery"
)
FINDING = (
    "finding_id name kind analysis code site value unit interval probability reference_range flags text evidence model amended_by"
)


@pytest.mark.parametrize(("schema", "names"), [("Report", REPORT), ("Finding", FINDING)])
def test_openapi_holds_the_names_that_the_interface_fixes(described: dict[str, Any], schema: str, names: str) -> None:
    assert set(names.split()) <= set(described["components"]["schemas"][schema]["properties"])
