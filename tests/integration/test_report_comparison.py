"""Comparisons through the flow on a real PostgreSQL: whose earlier report counts, and what a version then says for good."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import Engine

from service.core.analyses.analysis import DescribeModel, Infer, ModelSpec
from service.core.cine import Cine
from service.core.findings import Finding
from service.core.identifiers import derive_uid
from service.core.instance import PatientIdentity
from service.core.masks import MaskKeeper
from service.core.report import EarlierComparison, Report, SideComparison
from service.core.report_life import Changes
from service.ports import UnitOfWorkFactory
from service.records import RenderedObject, StoredAnalysis, StoredInstance
from service.review import Review
from tests.compared_findings import measured
from tests.integration.api_parts import ANNA
from tests.integration.flow_parts import House, received, render

JANE = PatientIdentity(patient_id="P-42", issuer_of_patient_id="House", patient_name="Doe^Jane", patient_birth_date="19700102")
JOHN = PatientIdentity(patient_id="P-43", issuer_of_patient_id="House", patient_name="Doe^John", patient_birth_date="19700102")
NOBODY = PatientIdentity(issuer_of_patient_id="House", patient_name="Doe^Jane", patient_birth_date="19700102")
FIRST, SECOND = "1.2.826.0.1.3680043.8.498.11", "1.2.826.0.1.3680043.8.498.12"


@dataclass
class SidedAnalysis:
    """Measures the thickness that it is told to, by side."""

    name: str = "muscle_architecture"
    version: str = "1"
    models: tuple[ModelSpec, ...] = ()
    sides: dict[str, tuple[str, float]] = field(default_factory=dict)

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        del infer, describe, keep
        side, thickness = self.sides[cine.sop_instance_uid.partition("-")[0]]
        return (measured(thickness, side, uid=cine.sop_instance_uid),)


def render_alone(report: Report, instances: Sequence[StoredInstance], analyses: Sequence[StoredAnalysis]) -> list[RenderedObject]:
    """An object with a UID that no other study's has."""
    return [replace(made, sop_instance_uid=derive_uid(report.report_id)) for made in render(report, instances, analyses)]


class Clinic(House):
    """Studies of known thickness, each reported."""

    def __init__(self, units: UnitOfWorkFactory, engine: Engine) -> None:
        super().__init__(units, engine)
        self.sided = SidedAnalysis()
        self.flow = replace(self.flow, analyses={"muscle_architecture": self.sided}, renderers={"sr": render_alone})

    def examine(
        self, study: str, date: str | None, sides: dict[str, float], *, identity: PatientIdentity = JANE, **changes: Any
    ) -> Report:
        for side, thickness in sides.items():
            uid = f"{study}.{len(self.sided.sides)}"
            self.sided.sides[uid] = (side, thickness)
            self.flow.store_instance(received(uid, study_instance_uid=study, study_date=date, identity=identity, **changes))
        return self.report_of(study)

    def report_of(self, study: str) -> Report:
        self.flow.request_report(study)
        self.work()
        with self.flow.units() as unit:
            report = unit.reports.newest(study)
        assert report is not None
        return report


@pytest.fixture
def clinic(units: UnitOfWorkFactory, engine: Engine) -> Clinic:
    return Clinic(units, engine)


def test_study_of_both_sides_is_reported_with_their_difference(clinic: Clinic) -> None:
    (one,) = clinic.examine(FIRST, "20260502", {"left": 18.0, "right": 20.0}).comparisons
    assert isinstance(one, SideComparison)
    assert one.difference == -2.0
    assert one.asymmetry_percent == pytest.approx(10.0)


def test_second_study_of_a_patient_is_reported_with_the_change_since_the_first(clinic: Clinic) -> None:
    first = clinic.examine(FIRST, "20260502", {"left": 18.0})
    second = clinic.examine(SECOND, "20261120", {"left": 18.9})
    assert first.comparisons == ()
    (one,) = second.comparisons
    assert isinstance(one, EarlierComparison)
    assert (one.now.value, one.earlier.value, one.earlier_study.study_date) == (18.9, 18.0, "20260502")
    assert (one.earlier_study.report_id, one.earlier.finding_ids) == (first.report_id, (first.findings[0].finding_id,))
    assert one.change_percent == pytest.approx(5.0)
    assert second.impression.endswith("left thickness +0.9 mm (+5 %) since 2026-05-02.")


def test_report_version_keeps_its_comparison_when_the_earlier_report_changes(clinic: Clinic) -> None:
    clinic.examine(FIRST, "20260502", {"left": 18.0})
    second = clinic.examine(SECOND, "20261120", {"left": 19.0})
    newer = clinic.examine(FIRST, "20260502", {"left": 16.0})
    assert clinic.report_of(SECOND) == second
    clinic.flow.reanalyse(SECOND)
    (one,) = clinic.report_of(SECOND).comparisons
    assert isinstance(one, EarlierComparison)
    assert (one.earlier.value, one.earlier_study.report_id) == (17.0, newer.report_id)


def test_signed_earlier_report_counts_with_what_the_person_set_although_a_draft_is_newer(clinic: Clinic) -> None:
    first = clinic.examine(FIRST, "20260502", {"left": 18.0})
    review = Review(units=clinic.flow.units, publication=clinic.flow.publication, software=clinic.flow.software)
    change = {"action": "set", "finding_id": first.findings[0].finding_id, "value": 17.0}
    amended = review.amend(first.report_id, Changes.model_validate({"why": "by hand", "findings": [change]}), by=ANNA)
    signed = review.sign(amended.report_id, by=ANNA)
    clinic.examine(FIRST, "20260502", {"left": 30.0})
    (one,) = clinic.examine(SECOND, "20261120", {"left": 19.0}).comparisons
    assert isinstance(one, EarlierComparison)
    assert (one.earlier.value, one.earlier_study.report_id, one.is_within_uncertainty) == (17.0, signed.report_id, None)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (JOHN, JANE),
        (NOBODY, NOBODY),
        (NOBODY, JANE),
        (JANE, NOBODY),
        (replace(JANE, issuer_of_patient_id=None), JANE),
        (replace(JANE, patient_birth_date="19700103"), JANE),
    ],
    ids=["another patient", "no id", "no id then", "no id now", "another issuer", "another birth date"],
)
def test_report_of_another_or_an_unnamed_patient_is_not_used(
    clinic: Clinic, before: PatientIdentity, now: PatientIdentity
) -> None:
    clinic.examine(FIRST, "20260502", {"left": 18.0}, identity=before)
    assert clinic.examine(SECOND, "20261120", {"left": 18.9}, identity=now).comparisons == ()


@pytest.mark.parametrize("date", ["20261121", None])
def test_report_of_a_study_that_is_not_earlier_is_not_used(clinic: Clinic, date: str | None) -> None:
    clinic.examine(FIRST, date, {"left": 18.0})
    assert clinic.examine(SECOND, "20261120", {"left": 18.9}).comparisons == ()


def test_study_with_an_identity_on_hold_is_compared_with_nothing_until_it_is_acknowledged(clinic: Clinic) -> None:
    clinic.examine(FIRST, "20260502", {"left": 18.0})
    clinic.examine(SECOND, "20261120", {"left": 19.0}, identity=JOHN)
    held = clinic.examine(SECOND, "20261120", {"right": 20.0})
    assert ([one.state for one in held.delivery], held.comparisons) == (["held"], ())
    assert "disagreed about the patient or the order: nothing was compared" in held.limitations[0]
    clinic.flow.acknowledge_identity(SECOND)
    clinic.flow.reanalyse(SECOND)
    assert [one.kind for one in clinic.report_of(SECOND).comparisons] == ["left_right", "earlier"]


def test_report_of_a_study_with_an_identity_on_hold_is_not_used(clinic: Clinic) -> None:
    clinic.examine(FIRST, "20260502", {"left": 18.0}, identity=JOHN)
    clinic.examine(FIRST, "20260502", {"left": 18.0})
    assert clinic.examine(SECOND, "20261120", {"left": 18.9}).comparisons == ()


def test_report_made_before_its_study_got_this_patient_is_not_used(clinic: Clinic) -> None:
    clinic.examine(FIRST, "20260502", {"left": 18.0}, identity=JOHN)
    corrected = received(f"{FIRST}.0", study_instance_uid=FIRST, study_date="20260502", identity=JANE, attributes="corrected")
    assert clinic.flow.store_instance(corrected).identity_changed
    clinic.flow.acknowledge_identity(FIRST)
    assert clinic.examine(SECOND, "20261120", {"left": 18.9}).comparisons == ()


def test_earlier_report_comes_without_series_and_lines(clinic: Clinic) -> None:
    clinic.examine(FIRST, "20260502", {"left": 18.0})
    second = clinic.examine(SECOND, "20261120", {"left": 18.9})
    with clinic.flow.units() as unit:
        (found,) = unit.reports.earlier_of_patient(second.study)
    assert [(one.series, one.evidence.lines) for one in found.findings] == [(None, ())]
