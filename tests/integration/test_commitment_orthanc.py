"""Storage Commitment with a real Orthanc, in both roles: it calls back on associations of its own, and takes ours."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import Engine

from service.adapters.commitment_scu import CommitmentScu, peer_to_ask
from service.adapters.store_scu import StoreScuDestination
from service.adapters.stow import StowDestination
from service.commitment_ports import KeptRequest
from service.core.commitment import CommitmentRequest, CommitmentResult, Reference
from service.core.render.encapsulated_pdf import render_encapsulated_pdf
from service.core.render.key_objects import render_key_objects
from service.core.render.seg import render_segmentation
from service.core.render.sr import render_sr
from service.core.report import Report
from service.destination_settings import CommitmentSettings, DicomDestinationSettings, StowDestinationSettings
from service.ports import UnitOfWorkFactory
from service.records import RenderedObject, StoredAnalysis, StoredInstance
from simulator.wrist import draw_volunteer
from tests.calf_report import calf_report, instance
from tests.e2e.orthanc import committing_orthanc
from tests.integration.commitment_parts import CommittingHouse, known
from tests.integration.flow_parts import STUDY, received
from tests.integration.listener_parts import US, running_listener, ultrasound
from tests.integration.test_conversion import capture
from tests.running import free_port, poll
from tests.wrist_parts import analysed_and_drawn, pictures, well


@dataclass
class Told:
    """CommitmentHooks that keep what a peer reports."""

    results: list[CommitmentResult] = field(default_factory=list)

    def answer(self, result: CommitmentResult, *, ae_title: str) -> None:
        assert ae_title == "ORTHANC"
        self.results.append(result)

    def keep(self, request: CommitmentRequest, *, calling_ae_title: str, called_ae_title: str) -> KeptRequest:
        raise NotImplementedError

    def judge(self, request_id: int) -> CommitmentResult:
        raise NotImplementedError

    def reported(self, request_id: int, result: CommitmentResult) -> None:
        raise NotImplementedError

    @contextmanager
    def listening(self, port: int, root: Path) -> Iterator[None]:
        with running_listener(root, port=port, commitments=self):
            yield


@dataclass
class Pair:
    """Orthanc and us; each knows where the other listens."""

    house: CommittingHouse
    rest: httpx2.Client

    def upload(self, sop_instance_uid: str) -> str:
        """Into Orthanc; gives its name there."""
        data_set = ultrasound(SOPInstanceUID=sop_instance_uid)
        data_set.file_meta = FileMetaDataset()
        data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        buffer = io.BytesIO()
        data_set.save_as(buffer, enforce_file_format=True)
        answer = self.rest.post("/instances", content=buffer.getvalue())
        return str(answer.raise_for_status().json()["ID"])

    def ask_us(self, *sop_instance_uids: str) -> dict[str, Any]:
        """Orthanc asks whether we hold them; gives what it was told."""
        wanted = {"DicomInstances": [{"SOPClassUID": US, "SOPInstanceUID": uid} for uid in sop_instance_uids]}
        transaction = self.rest.post("/modalities/sonomyo/storage-commitment", json=wanted).raise_for_status().json()["ID"]
        self.house.work()

        def told() -> dict[str, Any] | None:
            found: dict[str, Any] = self.rest.get(f"/storage-commitment/{transaction}").raise_for_status().json()
            return found if found["Status"] != "Pending" else None

        return poll(told, timeout_seconds=20, what="a report in Orthanc")

    def deliver(self) -> tuple[str, int, str]:
        """A report goes to Orthanc, which is asked; gives what became of the delivery."""
        self.house.flow.store_instance(received())
        self.house.flow.request_report(STUDY)
        return self.settle()

    def settle(self) -> tuple[str, int, str]:
        """Work until Orthanc has called back."""

        def settled() -> tuple[str, int, str] | None:
            self.house.work()
            return None if self.house.delivery()[0] == "awaiting_commitment" else self.house.delivery()

        return poll(settled, timeout_seconds=20, what="a report by Orthanc")


@pytest.fixture
def pair(units: UnitOfWorkFactory, engine: Engine, tmp_path: Path) -> Iterator[Pair]:
    dicom_port, our_port = free_port(), free_port()
    house = CommittingHouse(units, engine, tmp_path, peers=[known(dicom_port, ae_title="ORTHANC")])
    settings = DicomDestinationSettings(
        name="pacs", host="127.0.0.1", port=dicom_port, ae_title="ORTHANC", commitment=CommitmentSettings(wait_seconds=0)
    )
    assert settings.commitment is not None
    peer = peer_to_ask(settings, settings.commitment, calling_ae_title="SONOMYO")
    asked = {"pacs": CommitmentScu(peer=peer, settings=settings.commitment)}
    house.commitments = replace(house.commitments, destinations=asked)
    house.flow = replace(
        house.flow,
        commitments=house.commitments,
        destinations={"pacs": StoreScuDestination(settings=settings, calling_ae_title="SONOMYO")},
        renderers={"sr": render},
    )
    with (
        committing_orthanc(tmp_path, dicom_port=dicom_port, sonomyo_port=our_port) as rest,
        house.listening(port=our_port),
    ):
        yield Pair(house, rest)


def render(report: Report, _: Sequence[StoredInstance], __: Sequence[StoredAnalysis]) -> list[RenderedObject]:
    return [rendered("sr", render_sr(calf_report(), [instance()]), report_id=report.report_id)]


def rendered(kind: str, content: bytes, *, report_id: str = "r") -> RenderedObject:
    data_set = dcmread(io.BytesIO(content), stop_before_pixels=True)
    return RenderedObject(
        sop_instance_uid=str(data_set.SOPInstanceUID),
        sop_class_uid=str(data_set.SOPClassUID),
        kind=kind,
        report_id=report_id,
        media_type="application/dicom",
        content=content,
    )


def one_of_each_kind() -> dict[str, RenderedObject]:
    """Of a report on a wrist."""
    findings, masks = analysed_and_drawn(pictures(draw_volunteer(11), *well("S11", 2)), sop_instance_uid="2.25.1")
    report, source = calf_report(findings=findings), instance("2.25.1")
    key_objects = render_key_objects(report, [source])
    assert key_objects is not None
    made = {
        "sr": render_sr(report, [source]),
        "ko": key_objects,
        "pdf": render_encapsulated_pdf(report, [source], {}),
        "seg": render_segmentation(report, "seg.1", 1, source, "wrist_hand", masks),
        "sc": capture().content,
    }
    return {kind: rendered(kind, content) for kind, content in made.items()}


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_orthanc_commits_every_kind_of_object_that_it_got(way: str, tmp_path: Path) -> None:
    told, dicom_port, our_port = Told(), free_port(), free_port()
    settings = DicomDestinationSettings(name="pacs", host="127.0.0.1", port=dicom_port, ae_title="ORTHANC")
    objects = one_of_each_kind().values()
    with committing_orthanc(tmp_path, dicom_port=dicom_port, sonomyo_port=our_port) as rest, told.listening(our_port, tmp_path):
        stow = StowDestinationSettings(name="web", protocol="stow", url=f"{rest.base_url}/dicom-web")
        target = (
            StowDestination(settings=stow)
            if way == "STOW-RS"
            else StoreScuDestination(settings=settings, calling_ae_title="SONOMYO")
        )
        for each in objects:
            target.send(each)
        wait = CommitmentSettings(wait_seconds=0)
        asked = CommitmentScu(peer=peer_to_ask(settings, wait, calling_ae_title="SONOMYO"), settings=wait)
        references = tuple(Reference(each.sop_class_uid, each.sop_instance_uid) for each in objects)
        asked.ask(
            CommitmentRequest(transaction_uid="2.25.1", references=references),
            answered=told.results.append,
            is_answered=lambda: bool(told.results),
        )
        (result,) = poll(lambda: told.results, timeout_seconds=20, what="a report by Orthanc")
    assert (result.failed, set(result.committed)) == ((), set(references))


def test_orthanc_commits_a_report_that_it_stored(pair: Pair) -> None:
    assert pair.deliver() == ("delivered", 1, "")
    assert pair.house.transactions() == ["committed"]
    assert len(pair.rest.get("/instances").json()) == 1


def test_orthanc_that_lost_a_report_gets_it_again_and_commits_it(pair: Pair) -> None:
    house = pair.house
    house.flow.store_instance(received())
    house.flow.request_report(STUDY)
    while "deliver_report" not in house.waiting():
        house.work_one()
    report = house.report()
    assert report is not None
    delivery = report.report_id, "pacs", "sr"
    with house.flow.units() as unit:
        unit.outbox.close(*delivery, state="awaiting_commitment", error=None)
        unit.commitments.open(*delivery)
    state, _, error = pair.settle()
    assert state == "pending"
    assert "0x0112" in error
    house.let_pass(30)
    assert pair.settle() == ("delivered", 2, "")
    assert house.transactions() == ["failed", "committed"]
    assert len(pair.rest.get("/instances").json()) == 1


def test_orthanc_is_told_which_of_its_instances_we_hold(pair: Pair) -> None:
    held, kept_back = pair.upload("1.2.3.1"), pair.upload("1.2.3.2")
    pair.rest.post("/modalities/sonomyo/store", json={"Resources": [held]}).raise_for_status()
    assert pair.ask_us("1.2.3.1")["Status"] == "Success"
    told = pair.ask_us("1.2.3.1", "1.2.3.2")
    assert told["Status"] == "Failure"
    assert [one["SOPInstanceUID"] for one in told["Success"]] == ["1.2.3.1"]
    assert [(one["SOPInstanceUID"], one["FailureReason"]) for one in told["Failures"]] == [("1.2.3.2", 0x0112)], told
    assert kept_back in pair.rest.get("/instances").json()
