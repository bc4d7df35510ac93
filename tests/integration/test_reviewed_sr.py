"""The structured report of what a person has worked on: who verified it, what it replaces, whose word a number is."""

import io

import pytest
from pydicom import Dataset, dcmread

from service.core.render.sr import render_sr
from service.core.report import Report, object_uid
from tests.calf_report import calf_report, instance
from tests.integration.test_render_sr import items, measurement_groups, texts
from tests.reviewed_report import amended, signed, withdrawn


def read(report: Report) -> Dataset:
    return dcmread(io.BytesIO(render_sr(report, [instance()])))


def numbers(sr: Dataset, meaning: str) -> list[Dataset]:
    found = [item for group in measurement_groups(sr) for item in group.ContentSequence if item.ValueType == "NUM"]
    return [item for item in found if item.ConceptNameCodeSequence[0].CodeMeaning == meaning]


def predecessor(sr: Dataset) -> str:
    (study,) = sr.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (document,) = series.ReferencedSOPSequence
    return str(document.ReferencedSOPInstanceUID)


@pytest.mark.parametrize(
    ("report", "flags"),
    [
        (calf_report(), ("UNVERIFIED", "PRELIMINARY", "COMPLETE")),
        (amended(), ("UNVERIFIED", "PRELIMINARY", "COMPLETE")),
        (signed(), ("VERIFIED", "FINAL", "COMPLETE")),
        (withdrawn(), ("VERIFIED", "FINAL", "COMPLETE")),
        (withdrawn(amended()), ("UNVERIFIED", "PRELIMINARY", "COMPLETE")),
    ],
    ids=["draft", "amended draft", "signed", "withdrawn", "draft given up"],
)
def test_flags_of_the_sr_say_whether_a_person_answers_for_it(report: Report, flags: tuple[str, ...]) -> None:
    sr = read(report)
    assert (sr.VerificationFlag, sr.PreliminaryFlag, sr.CompletionFlag) == flags
    assert ("VerifyingObserverSequence" in sr) is (flags[0] == "VERIFIED")


def test_signed_sr_names_the_person_the_organization_and_the_time_of_the_signature() -> None:
    report = signed()
    (observer,) = read(report).VerifyingObserverSequence
    assert (str(observer.VerifyingObserverName), observer.VerifyingOrganization) == ("Dr Anna Grau^", "Test Hospital")
    assert report.signed_at is not None
    assert str(observer.VerificationDateTime) == f"{report.signed_at.astimezone():%Y%m%d%H%M%S.%f%z}"


def test_sr_names_the_document_that_it_replaces_though_other_versions_lie_between() -> None:
    first = signed()
    again = signed(amended(amended(first)), official=first)
    assert again.version == first.version + 3
    assert predecessor(read(again)) == object_uid(first.report_id, first.version, "sr")


def test_signed_sr_rendered_again_is_the_same_bytes() -> None:
    assert render_sr(signed(), [instance()]) == render_sr(signed(), [instance()])


def test_amended_number_is_the_persons_and_stands_alone() -> None:
    sr = read(signed())
    (thickness,) = numbers(sr, "Thickness")
    assert float(thickness.MeasuredValueSequence[0].NumericValue) == 18.4
    kind, name = thickness.ContentSequence
    assert (kind.RelationshipType, kind.ConceptCodeSequence[0].CodeValue) == ("HAS OBS CONTEXT", "121006")
    assert str(name.PersonName) == "Dr Anna Grau^"
    assert [text for text in texts(measurement_groups(sr)[0]) if text.startswith("Thickness 18.4 mm, amended by Dr Anna Grau")]


def test_rejected_number_is_a_statement_and_no_measurement() -> None:
    sr = read(signed())
    assert numbers(sr, "Mean grey level of the muscle belly") == []
    assert [text for text in texts(measurement_groups(sr)[0]) if text.startswith("Echo intensity rejected by Dr Anna Grau")]


def test_sr_of_a_withdrawn_report_holds_the_withdrawal_and_no_number() -> None:
    sr = read(withdrawn())
    assert [item for group in measurement_groups(sr) for item in group.ContentSequence if item.ValueType == "NUM"] == []
    (impression,) = items(sr, "121073")
    assert impression.TextValue == withdrawn().impression
    assert predecessor(sr) == object_uid(signed().report_id, signed().version, "sr")
