"""A fast cine of simulated motor units, sent by a real peer, becomes a report that tells most of them and when they fired."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from simulator.motor_cine import KnownUnit, MotorUnitsTruth
from simulator.write import simulate
from tests.e2e.sending import findings, send, study_of
from tests.running import RunningService

pytestmark = pytest.mark.timeout(600)

SEED = 400_009
_NEAR_MM = 2.0
_NEAR_SECONDS = 0.03


@pytest.fixture(scope="module")
def cine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Losslessly compressed: 512 frames are large."""
    (path,) = simulate("motor-units", tmp_path_factory.mktemp("units"), n=1, seed=SEED, transfer_syntax="rle")
    return path


@pytest.fixture(scope="module")
def report(service: RunningService, cine: Path) -> dict[str, Any]:
    send(service, cine)
    service.complete(study_of(cine))
    return service.report(study_of(cine), timeout_seconds=240)


def truth_of(path: Path) -> MotorUnitsTruth:
    return MotorUnitsTruth.model_validate_json(path.with_suffix(".truth.json").read_text(encoding="utf-8"))


def found_as(true: KnownUnit, told: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The unit of the report whose centre is nearest, if it is near."""
    (x, y) = true.centre_mm

    def away(unit: dict[str, Any]) -> float:
        return float(((unit["centre_mm"][0] - x) ** 2 + (unit["centre_mm"][1] - y) ** 2) ** 0.5)

    nearest = min(told, key=away)
    return nearest if away(nearest) <= _NEAR_MM else None


def test_most_units_of_a_cine_sent_by_c_store_are_told_with_their_firings(report: dict[str, Any], cine: Path) -> None:
    truth, told = truth_of(cine), [finding["motor_unit"] for finding in findings(report, "motor_unit")]
    matched = [(true, unit) for true in truth.units if (unit := found_as(true, told)) is not None]
    assert len(matched) >= 0.6 * len(truth.units)
    assert len(told) <= 1.5 * len(truth.units)
    for true, unit in matched:
        assert unit["area_mm2"] == pytest.approx(true.area_mm2, rel=0.6)
        near = sum(any(abs(time - one) < _NEAR_SECONDS for one in true.firings_seconds) for time in unit["firings_seconds"])
        assert near >= 0.6 * len(unit["firings_seconds"])
        assert all(later - time >= 0.04 for time, later in pairwise(unit["firings_seconds"]))


def test_report_says_that_units_are_known_from_simulation_only(report: dict[str, Any]) -> None:
    (count,) = findings(report, "motor_unit_count")
    assert count["value"] == len(findings(report, "motor_unit"))
    assert (count["model"]["name"], count["model"]["evidence"]) == ("mu_seg", "simulated")
    assert findings(report, "motor_unit")[0]["model"]["name"] == "mu_twitch"
    assert any("learnt from simulated muscles" in limitation for limitation in report["limitations"])
    assert findings(report, "thickness") == [], "a cine so fast goes to motor units alone"


def test_territories_are_in_a_segmentation_and_on_the_page(service: RunningService, report: dict[str, Any]) -> None:
    study = report["study"]["study_instance_uid"]
    answer = service.api.get(f"/dicom-web/studies/{study}/series", headers={"Accept": "application/dicom+json"})
    modalities = {series["00080060"]["Value"][0] for series in answer.raise_for_status().json()}
    assert {"US", "SR", "SEG"} <= modalities
    page = service.api.get(f"/api/v1/studies/{study}/report", headers={"Accept": "text/html"}).text
    assert "Firings and mean twitches of the motor units" in page
    assert "Motor unit 1" in page
