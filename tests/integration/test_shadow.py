"""Shadow mode on a real PostgreSQL: another version runs beside the served one, is compared, and is never reported or sent."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.core.analyses.analysis import DescribeModel, Infer, ModelSpec
from service.core.cine import Cine
from service.core.findings import AnalysisUsed, Evidence, Finding, FindingKind, ModelUsed
from service.core.masks import MaskKeeper
from service.errors import ModelContractError, NotMeasurable
from service.ports import UnitOfWorkFactory
from tests.fakes import FakeServer
from tests.integration.api_parts import STUDY, House, dicom_file, upload

NETWORK = ModelSpec(model_name="network", model_version="1", inputs=(), outputs=(), max_batch_size=1)


@dataclass
class VersionsServed(FakeServer):
    served: tuple[str, ...] = ("1", "2")

    def describe(self, model: ModelSpec) -> ModelUsed:
        if model.model_version not in self.served:
            raise ModelContractError(f"version {model.model_version} is not served")
        return ModelUsed(name=model.model_name, version=model.model_version, sha256="ab" * 32, evidence="simulated")


@dataclass
class TenTimesTheVersion:
    """Its number is ten times its model's version; version 3 abstains."""

    name: str = "muscle_architecture"
    version: str = "1"
    models: tuple[ModelSpec, ...] = (NETWORK,)

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        del infer, keep
        used = describe(NETWORK)
        if used.version == "3":
            raise NotMeasurable("It abstains.", reason="abstains")
        return (
            Finding(
                finding_id="one",
                name="thickness",
                kind=FindingKind.MEASUREMENT,
                analysis=AnalysisUsed(name=self.name, version=self.version),
                value=10.0 * int(used.version),
                unit="mm",
                text=f"Thickness by version {used.version}",
                evidence=Evidence(sop_instance_uid=cine.sop_instance_uid),
                model=used,
            ),
        )


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path) as opened:
        yield opened


def run(house: House, **shadow_models: str) -> None:
    """One cine, stored, analysed and reported with these models in shadow."""
    house.flow = replace(
        house.flow,
        analyses={"muscle_architecture": TenTimesTheVersion()},
        server=VersionsServed(("1", "2", "3")),
        shadow_models=shadow_models,
    )
    assert upload(house.client(), dicom_file()).status_code == 202
    house.work()
    house.flow.request_report(STUDY)
    house.work()


def compared(house: House) -> list[dict[str, object]]:
    answer = house.client().get("/api/v1/models/shadow")
    assert answer.status_code == 200
    found: list[dict[str, object]] = answer.json()["comparisons"]
    return found


def test_shadow_version_is_compared_and_no_report_or_destination_sees_it(house: House) -> None:
    run(house, network="2")
    (row,) = compared(house)
    assert row["model_versions"] == {"network": "2"}
    assert (row["name"], row["both"], row["mean_difference"]) == ("thickness", 1, 10.0)
    report = house.client().get(f"/api/v1/studies/{STUDY}/report").json()
    assert [finding["value"] for finding in report["findings"]] == [10.0]
    assert "version 2" not in str(report)
    assert all("version 2" not in str(sent) for sent in house.destination.received)


def test_shadow_version_that_abstains_is_counted(house: House) -> None:
    run(house, network="3")
    (row,) = compared(house)
    assert (row["both"], row["only_served"], row["only_shadow"]) == (0, 1, 0)


def test_shadow_analysis_again_replaces_what_the_same_version_said(house: House) -> None:
    run(house, network="2")
    house.flow.reanalyse(STUDY)
    house.work()
    assert [row["both"] for row in compared(house)] == [1]


def test_shadow_models_of_other_analyses_and_none_run_nothing(house: House) -> None:
    run(house, another_network="2")
    assert compared(house) == []
    assert house.rows("SELECT 1 FROM procrastinate_jobs WHERE task_name = 'sonomyo.shadow_analysis'") == []


def test_shadow_version_that_is_not_served_leaves_the_report_as_it_is(house: House) -> None:
    with pytest.raises(ModelContractError):
        run(house, network="9")
    house.work()
    house.flow.request_report(STUDY)
    house.work()
    report = house.client().get(f"/api/v1/studies/{STUDY}/report").json()
    assert [finding["value"] for finding in report["findings"]] == [10.0]
    assert compared(house) == []
