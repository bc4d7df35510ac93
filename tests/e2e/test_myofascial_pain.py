"""A study of the upper trapezius sent by a real peer becomes a report that says what its number is worth."""

from io import BytesIO

import pydicom
import pytest

from simulator.trapezius import SITES_A_PERSON
from simulator.write import simulate
from tests.e2e.sending import findings, send, study_of
from tests.running import ROOT, RunningService

pytestmark = pytest.mark.skipif(
    not (ROOT / "model_repository" / "vde_encoder").is_dir(), reason="the encoder is in training, and not in the model repository"
)
NOT_VALIDATED = "simulation-trained, not validated in people"


@pytest.fixture(scope="module")
def study(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four simulated cines of one person, two a side, sent, analysed and reported."""
    paths = list(simulate("trapezius", tmp_path_factory.mktemp("trapezius"), SITES_A_PERSON, 1, "jpeg"))
    for path in paths:
        send(service, path)
    service.complete(study_of(paths[0]))
    service.report(study_of(paths[0]), timeout_seconds=120)
    return study_of(paths[0])


def test_study_of_trapezius_cines_ends_in_one_probability_over_theirs(service: RunningService, study: str) -> None:
    report = service.report(study)
    cines = findings(report, "myofascial_pain_probability")
    assert len(cines) == SITES_A_PERSON
    assert {cine["site"]["laterality"] for cine in cines} == {"left", "right"}
    for cine in cines:
        assert 0 <= cine["interval"]["low"] <= cine["value"] <= cine["interval"]["high"] <= 1
        assert len(cine["series"]["values"]) == len(cine["series"]["time_seconds"]) > 16
        assert cine["evidence"]["frames"]
        assert cine["model"]["evidence"] == "simulated"
    (together,) = findings(report, "myofascial_pain_probability_of_study")
    assert min(cine["value"] for cine in cines) <= together["value"] <= max(cine["value"] for cine in cines)
    assert together["site"]["laterality"] == "bilateral"
    assert not findings(report, "thickness"), "architecture is not measured where it was never tried"


def test_study_of_trapezius_cines_says_in_json_page_and_sr_that_it_was_not_validated(service: RunningService, study: str) -> None:
    report = service.report(study)
    assert NOT_VALIDATED in report["impression"]
    assert any(NOT_VALIDATED in limitation for limitation in report["limitations"])
    for finding in findings(report, "myofascial_pain_probability"):
        assert NOT_VALIDATED in finding["text"]
        assert NOT_VALIDATED in finding["code"]["meaning"]
    address = f"/api/v1/studies/{study}/report"
    assert NOT_VALIDATED in service.api.get(address, headers={"Accept": "text/html"}).text
    sr = pydicom.dcmread(BytesIO(service.api.get(address, headers={"Accept": "application/dicom"}).content))
    assert NOT_VALIDATED in str(sr)


def test_study_of_trapezius_cines_names_nearest_cases_and_quality_of_each(service: RunningService, study: str) -> None:
    report = service.report(study)
    for name in ("nearest_training_cases", "image_quality"):
        assert len(findings(report, name)) == SITES_A_PERSON
    assert all("simulated" in finding["text"] for finding in findings(report, "nearest_training_cases"))
