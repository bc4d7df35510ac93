"""A study analysed anew: each time a new version, with the models that were asked for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import Engine

from service.core.analyses.analysis import DescribeModel, Infer, ModelSpec
from service.core.cine import Cine
from service.core.findings import Finding, ModelUsed
from service.core.masks import MaskKeeper
from service.errors import InputRejected, ModelContractError
from service.ports import UnitOfWorkFactory
from tests.fakes import FakeAnalysis, FakeServer
from tests.integration.flow_parts import STUDY, House, received


@pytest.fixture
def house(units: UnitOfWorkFactory, engine: Engine) -> House:
    return House(units, engine)


def test_reanalysis_of_a_corrected_instance_runs_the_analysis_and_copies_nothing(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.store_instance(received(attributes="corrected"))
    house.flow.request_report(STUDY)
    house.work()
    runs = house.analysis.runs
    house.flow.reanalyse(STUDY)
    house.work()
    assert house.analysis.runs == runs + 1


def test_reanalysis_makes_a_new_version(house: House) -> None:
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    house.flow.reanalyse(STUDY)
    house.work()
    report = house.report()
    assert report is not None
    assert (report.version, house.analysis.runs) == (2, 2)


NETWORK = ModelSpec(model_name="network", model_version="1", inputs=(), outputs=(), max_batch_size=1)


class NetworkServer(FakeServer):
    """Tells of a model what it was asked for; version 3 has another output than this service reads."""

    def check(self, models: Sequence[ModelSpec]) -> None:
        if any(model.model_version == "3" for model in models):
            raise ModelContractError("network: output masks is FP32, UINT8 is expected")

    def describe(self, model: ModelSpec) -> ModelUsed:
        return ModelUsed(name=model.model_name, version=model.model_version, sha256="ab" * 32, evidence="real")


@dataclass
class NetworkAnalysis(FakeAnalysis):
    """Names the model that it was given."""

    models: tuple[ModelSpec, ...] = (NETWORK,)

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        found = super().analyse(cine, infer, describe, keep)
        return tuple(finding.model_copy(update={"model": describe(NETWORK)}) for finding in found)


def use_network(house: House, *served: str) -> None:
    house.analysis = NetworkAnalysis()
    server = NetworkServer(served=served or ("1", "2"))
    house.flow = replace(house.flow, analyses={"muscle_architecture": house.analysis}, server=server)


def model_versions(house: House) -> list[str]:
    report = house.report()
    assert report is not None
    return [model.version for model in report.provenance.models]


def test_reanalysis_with_a_pinned_model_uses_that_version_and_the_next_one_does_not(house: House) -> None:
    use_network(house)
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    assert model_versions(house) == ["1"]
    house.flow.reanalyse(STUDY, {"network": "2"})
    house.work()
    assert model_versions(house) == ["2"]
    house.flow.reanalyse(STUDY)
    house.work()
    assert model_versions(house) == ["1"]


def test_reanalysis_with_a_version_that_does_not_fit_is_refused_with_what_differs(house: House) -> None:
    use_network(house, "1", "3")
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    house.work()
    with pytest.raises(InputRejected, match="output masks is FP32") as refused:
        house.flow.reanalyse(STUDY, {"network": "3"})
    assert refused.value.reason == "model_version_unfit"
    house.work()
    assert model_versions(house) == ["1"]


def test_reanalysis_asked_for_while_another_runs_ends_with_the_model_that_was_pinned(house: House) -> None:
    def ask_meanwhile() -> None:
        house.analysis.before = lambda: None
        house.flow.reanalyse(STUDY, {"network": "2"})

    use_network(house)
    house.analysis.before = ask_meanwhile
    house.flow.store_instance(received())
    house.work()
    assert model_versions(house) == ["2"]


@pytest.mark.parametrize(
    ("pinned", "said"),
    [
        ({"other": "1"}, "No analysis uses a model other; those in use: network."),
        ({"network": "9"}, "Version 9 of network is not served; there is 1, 2."),
    ],
)
def test_reanalysis_with_a_model_that_does_not_exist_is_refused_and_says_which_do(
    house: House, pinned: dict[str, str], said: str
) -> None:
    use_network(house)
    house.flow.store_instance(received())
    house.work()
    with pytest.raises(InputRejected, match=re.escape(said)):
        house.flow.reanalyse(STUDY, pinned)
    assert "analyse_instance" not in house.waiting()
