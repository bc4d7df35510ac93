"""What a person is told whose cine is too slow for motor units: by a rule, and by asking for the networks over HTTP."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.core.analyses.analysis import DescribeModel, Infer, ModelSpec
from service.core.analyses.motor_units import MAPS, TRAINS, MotorUnits
from service.core.cine import Cine
from service.core.findings import Finding
from service.core.masks import MaskKeeper
from service.core.measure.motor_band import LEAST_RATE_HZ
from service.core.routing import RoutingRule, RoutingRules
from service.ports import UnitOfWorkFactory
from tests.cine_files import EXPLICIT, region
from tests.fakes import FakeAnalysis
from tests.integration.api_parts import STUDY, House, as_file, dicom_dataset, upload
from tests.integration.viewer_parts import analysed, viewer_house

SIDE, FRAMES = 64, 600
#: The networks of motor units.
PINNED = {"models": {MAPS.model_name: "1", TRAINS.model_name: "1"}}


@dataclass
class Units(FakeAnalysis):
    """The real analysis, which looks at the rate before it asks a network."""

    name: str = "motor_units"
    version: str = MotorUnits().version
    models: tuple[ModelSpec, ...] = MotorUnits().models

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        return MotorUnits().analyse(cine, infer, describe, keep)


def slow_calf() -> bytes:
    """25 frames a second."""
    tissue = region(0, 0, SIDE - 1, SIDE - 1, PhysicalDeltaX=0.05, PhysicalDeltaY=0.05)
    own: dict[str, Any] = {"FrameIncrementPointer": 0x00181063, "FrameTime": "40", "SequenceOfUltrasoundRegions": [tissue]}
    dataset = dicom_dataset("1.2.3", frames=1, BodyPartExamined="CALF", **own)
    dataset.NumberOfFrames = FRAMES
    dataset.Rows = dataset.Columns = SIDE
    dataset.PixelData = bytes(range(256)) * (FRAMES * SIDE * SIDE // 256)
    return as_file(dataset, EXPLICIT)


@pytest.fixture
def made(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[Callable[[RoutingRules], House]]:
    """A house with these rules."""
    houses = []

    def build(rules: RoutingRules) -> House:
        house = viewer_house(engine, units, tmp_path, analysis=Units(), rules=rules)
        houses.append(house)
        return house.__enter__()

    yield build
    for house in houses:
        house.__exit__(None, None, None)


@pytest.mark.parametrize("minimum_frame_rate", [None, 20.0])
def test_slow_cine_that_a_rule_sends_to_motor_units_is_refused_with_the_rate_that_is_needed(
    made: Callable[[RoutingRules], House], minimum_frame_rate: float | None
) -> None:
    rule = RoutingRule(analysis="motor_units", body_parts=("CALF",), minimum_frame_rate=minimum_frame_rate)
    house = made(RoutingRules(rules=(rule,)))
    analysed(house, slow_calf())
    report = house.client().get(f"/api/v1/studies/{STUDY}/report").json()
    (finding,) = report["findings"]
    assert (finding["kind"], finding["flags"]) == ("not_measured", ["frame_rate_too_low"])
    said = f"The cine has 25.0 frames a second; twitches of motor units (up to 30 Hz) are seen from {LEAST_RATE_HZ:.0f} on."
    assert said in finding["text"]
    assert said in report["impression"]


def test_slow_cine_that_the_rule_of_motor_units_leaves_out_is_told_the_rate_that_is_needed(
    made: Callable[[RoutingRules], House],
) -> None:
    house = made(RoutingRules(rules=(RoutingRule(analysis="motor_units", minimum_frame_rate=LEAST_RATE_HZ),)))
    analysed(house, slow_calf())
    report = house.client().get(f"/api/v1/studies/{STUDY}/report").json()
    because = f"because it has 25.0 frames a second and the rule asks for at least {LEAST_RATE_HZ:.0f}."
    assert report["limitations"] == [f"1 stored instance was not analysed {because}"]


def test_reanalysis_of_a_slow_cine_with_the_networks_of_motor_units_is_refused_with_the_rate_that_is_needed(
    made: Callable[[RoutingRules], House],
) -> None:
    house = made(RoutingRules())
    object.__setattr__(house.flow, "analyses", {"muscle_architecture": FakeAnalysis(), "motor_units": Units()})
    object.__setattr__(house.flow, "rules", RoutingRules(rules=(RoutingRules().rules[0], RoutingRules().rules[-1])))
    client = house.client()
    upload(client, slow_calf()).raise_for_status()
    client.post(f"/api/v1/studies/{STUDY}/complete").raise_for_status()
    house.work()
    refused = client.post(f"/api/v1/studies/{STUDY}/reanalyse", json=PINNED)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:sonomyo:problem:model_of_no_use")
    why = f"it has 25.0 frames a second and the rule asks for at least {LEAST_RATE_HZ:.0f}"
    assert refused.json()["detail"] == f"Nothing in this study is analysed with mu_seg, mu_twitch: {why}."
    house.work()
    assert client.get(f"/api/v1/studies/{STUDY}/report").json()["version"] == 1
