"""A withdrawn report: who was sent key images, segmentations or captures of it is told not to use them any more."""

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import Engine

from service.adapters.store_scu import StoreScuDestination
from service.adapters.stow import StowDestination
from service.core.render.capture import SECONDARY_CAPTURE
from service.core.render.key_objects import KEY_OBJECT_SELECTION
from service.core.render.rejection_note import render_rejection_note
from service.core.report import Report, SentObject, object_uid
from service.core.report_life import Changes
from service.core.rules_file import read_rules
from service.destination_settings import DicomDestinationSettings, StowDestinationSettings
from service.errors import Unavailable
from service.ports import Destination, UnitOfWorkFactory
from service.rendering import Rendering
from service.review import Review
from tests.dciodvfy import complaints
from tests.e2e.orthanc import dicom_web_orthanc
from tests.fakes import FakeDestination
from tests.integration.api_parts import ANNA
from tests.integration.flow_parts import STUDY, received
from tests.integration.store_parts import PYNETDICOM_LEAVES_A_SOCKET, dcmtk_storescp
from tests.integration.test_captures import WANTS_CAPTURES, DrawingHouse
from tests.reviewed_report import withdrawn

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
PATIENT_SAFETY = "113037"
WHY = "the cine is of another patient"


class Clinic(DrawingHouse):
    """A house with reviewers, whose notes are real."""

    def __init__(self, units: UnitOfWorkFactory, engine: Engine) -> None:
        super().__init__(units, engine)
        self.flow = replace(self.flow, rejections=Rendering().rejection_notes())

    def having(self, *destinations: Destination, rules: str = "") -> None:
        by_name = {one.name: one for one in destinations}
        self.flow = replace(self.flow, destinations=by_name, delivery_rules=read_rules(rules).delivery_rules)

    @property
    def review(self) -> Review:
        return Review(units=self.flow.units, publication=self.flow.publication, software=self.flow.software)

    def reported(self) -> None:
        """A draft with a capture, both delivered."""
        self.flow.store_instance(received())
        self.flow.request_report(STUDY)
        self.work()

    def work(self) -> None:
        """What a destination that is away does not take stays in the outbox."""
        while True:
            with suppress(Unavailable):
                super().work()
                return

    def newest(self) -> Report:
        report = self.report()
        assert report is not None
        return report

    def withdraw(self) -> Report:
        return self.review.cancel(self.newest().report_id, why=WHY, by=ANNA)

    def sign(self) -> Report:
        return self.review.sign(self.newest().report_id, by=ANNA)


@pytest.fixture
def clinic(units: UnitOfWorkFactory, engine: Engine) -> Clinic:
    return Clinic(units, engine)


def notes(destination: FakeDestination) -> list[Dataset]:
    return [dcmread(io.BytesIO(one.content)) for one in destination.received if one.kind.startswith("rejection")]


def named(note: Dataset) -> list[str]:
    """SOP Instance UIDs that a note's content names; its evidence names the same."""
    items = [item for item in note.ContentSequence if "ReferencedSOPSequence" in item]
    assert sorted(evidence(note)) == sorted(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in items)
    return [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in items]


def evidence(note: Dataset) -> dict[str, str]:
    """SOP Instance UID -> Series Instance UID."""
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    return {
        item.ReferencedSOPInstanceUID: series.SeriesInstanceUID
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }


def captures(destination: FakeDestination) -> list[str]:
    return [one.sop_instance_uid for one in destination.received if one.kind.startswith("sc")]


# -- the object --


def test_rejection_note_passes_dciodvfy_and_names_each_object_as_what_it_is(tmp_path: Path) -> None:
    report = withdrawn()
    kinds = {"ko": KEY_OBJECT_SELECTION, "seg.1": SEGMENTATION, "sc.1": SECONDARY_CAPTURE}
    sent = [
        SentObject(report_id="r", kind=kind, sop_class_uid=uid, sop_instance_uid=object_uid("r", 1, kind))
        for kind, uid in kinds.items()
    ]
    path = tmp_path / "note.dcm"
    path.write_bytes(render_rejection_note(report, "rejection.1", sent))
    note = dcmread(path)
    assert complaints(path) == []
    assert note.ConceptNameCodeSequence[0].CodeValue == PATIENT_SAFETY
    assert named(note) == [one.sop_instance_uid for one in sent]
    assert [item.ValueType for item in note.ContentSequence][-3:] == ["COMPOSITE", "IMAGE", "IMAGE"]
    assert (note.SOPClassUID, note.SOPInstanceUID) == (
        KEY_OBJECT_SELECTION,
        object_uid(report.report_id, report.version, "rejection.1"),
    )
    assert render_rejection_note(report, "rejection.1", sent) == path.read_bytes()


# -- who is told --


def test_withdrawal_tells_who_was_sent_captures_of_any_version(clinic: Clinic) -> None:
    clinic.reported()
    clinic.sign()
    clinic.work()
    clinic.withdraw()
    clinic.work()
    (note,) = notes(clinic.destination)
    assert len(captures(clinic.destination)) == 2
    assert named(note) == captures(clinic.destination)
    (described,) = [item for item in note.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "113012"]
    assert WHY in described.TextValue


def test_withdrawal_tells_nobody_of_captures_that_it_was_not_sent(clinic: Clinic) -> None:
    others = FakeDestination(name="record"), FakeDestination(name="more", kinds=WANTS_CAPTURES)
    clinic.having(clinic.destination, *others)
    others[1].before = _away
    clinic.reported()
    clinic.withdraw()
    clinic.work()
    assert [len(notes(one)) for one in (clinic.destination, *others)] == [1, 0, 0]


def _away() -> None:
    raise Unavailable("It is away.", reason="away")


def test_amendment_that_is_signed_rejects_nothing(clinic: Clinic) -> None:
    clinic.reported()
    clinic.sign()
    clinic.review.amend(clinic.newest().report_id, Changes(why="a better word", impression="Thin."), by=ANNA)
    clinic.sign()
    clinic.work()
    assert notes(clinic.destination) == []


def test_capture_that_arrives_while_its_report_is_withdrawn_is_rejected_too(clinic: Clinic) -> None:
    def withdraw() -> None:
        clinic.destination.before = lambda: None
        clinic.withdraw()

    clinic.flow.store_instance(received())
    clinic.flow.request_report(STUDY)
    while not clinic.captures.made:
        clinic.work_one()
    assert notes(clinic.destination) == []
    clinic.destination.before = withdraw
    clinic.work()
    (note,) = notes(clinic.destination)
    assert named(note) == captures(clinic.destination)


def test_note_that_waits_goes_out_although_the_study_was_reported_anew(clinic: Clinic) -> None:
    clinic.reported()
    withdrawn_version = clinic.withdraw()
    clinic.destination.before = _away
    clinic.work()
    clinic.destination.before = lambda: None
    clinic.flow.reanalyse(STUDY)
    clinic.work()
    assert (clinic.newest().version, notes(clinic.destination)) == (3, [])
    clinic.flow.deliver_report(withdrawn_version.report_id, "pacs", "rejection.1")
    (note,) = notes(clinic.destination)
    assert named(note) == captures(clinic.destination)[:1]


def test_later_withdrawal_names_only_what_was_sent_since_the_earlier_one(clinic: Clinic) -> None:
    clinic.reported()
    clinic.withdraw()
    clinic.work()
    clinic.flow.reanalyse(STUDY)
    clinic.work()
    clinic.withdraw()
    clinic.work()
    assert [named(note) for note in notes(clinic.destination)] == [[uid] for uid in captures(clinic.destination)]


@pytest.mark.parametrize(("rule", "told"), [('kinds = ["sc"]', 1), ('statuses = ["preliminary"]', 1)])
def test_rule_that_says_nothing_of_withdrawals_keeps_no_note_back(clinic: Clinic, rule: str, told: int) -> None:
    clinic.having(clinic.destination, rules=f'[[delivery_rules]]\nname = "some"\n{rule}\n')
    clinic.reported()
    clinic.withdraw()
    clinic.work()
    assert len(notes(clinic.destination)) == told


def test_rule_that_keeps_withdrawals_back_keeps_the_note_back(clinic: Clinic) -> None:
    rule = '[[delivery_rules]]\nname = "no withdrawals"\nstatuses = ["cancelled"]\nsend = false\n'
    clinic.having(clinic.destination, rules=rule)
    clinic.reported()
    clinic.withdraw()
    clinic.work()
    assert (len(captures(clinic.destination)), notes(clinic.destination)) == (1, [])


# -- to real archives --


def drawing_for_real(clinic: Clinic, destination: Destination) -> None:
    """Captures that can be read, to a destination on the network."""
    rendering = Rendering()
    clinic.reader.uid_of = lambda _: "1.2.3"
    renderers = rendering.renderers({"sr"})
    clinic.flow = replace(clinic.flow, renderers=renderers, capture=rendering.capture_stored)
    clinic.having(destination)


def check_arrived(instances: Sequence[Dataset]) -> None:
    """A capture, and a note that names it in its series."""
    (capture,) = [one for one in instances if one.SOPClassUID == SECONDARY_CAPTURE]
    (note,) = [one for one in instances if one.Modality == "KO"]
    assert note.ConceptNameCodeSequence[0].CodeValue == PATIENT_SAFETY
    assert evidence(note) == {capture.SOPInstanceUID: capture.SeriesInstanceUID}
    assert (note.StudyInstanceUID, note.PatientID) == (capture.StudyInstanceUID, capture.PatientID)


@PYNETDICOM_LEAVES_A_SOCKET
def test_note_reaches_an_archive_by_c_store(clinic: Clinic, tmp_path: Path) -> None:
    with dcmtk_storescp(tmp_path, "+xa") as port:
        settings = DicomDestinationSettings(name="pacs", host="127.0.0.1", port=port, ae_title="PACS", kinds=("sr", "sc"))
        drawing_for_real(clinic, StoreScuDestination(settings=settings, calling_ae_title="SONOMYO"))
        clinic.reported()
        clinic.withdraw()
        clinic.work()
    check_arrived([dcmread(path) for path in tmp_path.iterdir()])


def test_note_reaches_an_archive_by_stow(clinic: Clinic, tmp_path: Path) -> None:
    with dicom_web_orthanc(tmp_path, username="sonomyo", password="canary-7") as rest:
        url = f"{str(rest.base_url).rstrip('/')}/dicom-web"
        credentials = {"username": "sonomyo", "password": "canary-7"}
        given = {"protocol": "stow", "name": "pacs", "url": url, "kinds": ("sr", "sc"), **credentials}
        settings = StowDestinationSettings.model_validate(given)
        drawing_for_real(clinic, StowDestination(settings=settings))
        clinic.reported()
        clinic.withdraw()
        clinic.work()
        stored = [rest.get(f"/instances/{one}/file").content for one in rest.get("/instances").json()]
    check_arrived([dcmread(io.BytesIO(one)) for one in stored])
