"""The objects that a person's steps make, by the renderers that the service has, as destinations and readers get them."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from service.rendering import Rendering
from tests.fakes import FakeReader
from tests.integration.api_parts import STUDY, House, reported
from tests.integration.test_report_life import amend as amended_by
from tests.integration.test_report_life import cancel, done, official, set_to, sign

KINDS = frozenset({"sr", "pdf", "oru", "notice"})


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    """With the real renderers, and findings that name the instance which was sent."""
    reader = FakeReader()
    reader.uid_of = lambda _: "1.2.3"
    with House(engine, units, tmp_path, reader=reader) as made:
        made.destination.kinds = KINDS
        made.flow = replace(made.flow, renderers=Rendering().renderers(KINDS))
        made.review = replace(made.review, publication=made.flow.publication)
        made.app = made._make_app()
        yield made


def objects(house: House, report: dict[str, Any]) -> dict[str, bytes]:
    """What the destination got of a version, by kind."""
    house.work()
    return {one.kind: one.content for one in house.destination.received if one.report_id == report["report_id"]}


def sr_of(client: httpx2.Client) -> Dataset:
    answer = client.get(f"/api/v1/studies/{STUDY}/report", headers={"Accept": "application/dicom"})
    answer.raise_for_status()
    return dcmread(io.BytesIO(answer.content))


def test_signature_sends_every_kind_anew_and_each_says_who_signed(house: House) -> None:
    draft = official(reported(house))
    made = objects(house, done(sign(house.reviewer(), draft)))
    assert made.keys() == KINDS
    assert json.loads(made["notice"])["type"] == "report.signed"
    assert b"|F|||||||u-anna&Dr Anna Grau\r" in made["oru"]
    pdf = dcmread(io.BytesIO(made["pdf"]))
    assert (pdf.VerificationFlag, bytes(pdf.EncapsulatedDocument[:4])) == ("VERIFIED", b"%PDF")
    assert dcmread(io.BytesIO(made["sr"])) == sr_of(house.client())


def test_sr_of_the_study_stays_the_signed_one_while_a_draft_waits(house: House) -> None:
    signed = done(sign(house.reviewer(), official(reported(house))))
    before = sr_of(house.client())
    draft = done(amended_by(house.reviewer(), signed, findings=set_to(signed, 42)))
    assert objects(house, draft) == {}
    assert sr_of(house.client()) == before
    assert before.VerifyingObserverSequence[0].VerifyingOrganization == "Test Hospital"


def test_withdrawal_sends_documents_that_say_so(house: House) -> None:
    signed = done(sign(house.reviewer(), official(reported(house))))
    objects(house, signed)
    made = objects(house, done(cancel(house.reviewer(), signed)))
    assert made.keys() == KINDS
    assert json.loads(made["notice"])["type"] == "report.cancelled"
    assert b"|RAD|X\r" in made["oru"]
    sr = dcmread(io.BytesIO(made["sr"]))
    assert "NUM" not in {item.ValueType for item in walk(sr)}
    (replaced,) = sr.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert replaced.ReferencedSOPInstanceUID in {one.sop_instance_uid for one in house.destination.received}


def walk(node: Dataset) -> Iterator[Dataset]:
    """Every content item beneath the root but the image library's."""
    for item in node.get("ContentSequence", []):
        if item.ConceptNameCodeSequence[0].CodeValue != "111028":  # Image Library: rows and columns
            yield item
            yield from walk(item)
