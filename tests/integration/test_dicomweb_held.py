"""What is found and retrieved when there are versions, corrections, removals and rows of before."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import STUDY, House, dicom_file, upload
from tests.integration.dicomweb_parts import (
    INSTANCE,
    STUDIES,
    dicomweb_house,
    found,
    jpeg_file,
    jpeg_frames,
    studies_found,
)


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with dicomweb_house(engine, units, tmp_path) as made:
        yield made


def test_what_we_made_is_found_in_its_newest_version_only(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    client.post(f"/api/v1/studies/{STUDY}/complete").raise_for_status()
    house.work()
    (old,) = found(client, f"{STUDIES}/{STUDY}/series", Modality="SR")
    assert studies_found(client, ModalitiesInStudy="SR") == [STUDY]
    assert sorted(found(client)[0]["00080061"]["Value"]) == ["SR", "US"]
    client.post(f"/api/v1/studies/{STUDY}/reanalyse").raise_for_status()
    house.work()
    (new,) = found(client, f"{STUDIES}/{STUDY}/series", Modality="SR")
    assert (new["00201209"]["Value"], new["00200011"]["Value"]) == ([1], [9501])
    old_address, new_address = old["00081190"]["Value"][0], new["00081190"]["Value"][0]
    assert old_address != new_address
    # The SR of the version before is named by the new one as its predecessor.
    assert client.get(f"{old_address}/metadata").json()[0]["00080060"]["Value"] == ["SR"]
    assert len(client.get(f"{STUDIES}/{STUDY}/metadata").json()) == 2


def test_corrected_instance_is_found_as_it_is_now(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    upload(client, dicom_file(PatientID="P9", SeriesDescription="Right calf"))
    assert studies_found(client, PatientID="P9") == [STUDY]
    assert studies_found(client, PatientID="P1") == []
    (series,) = found(client, f"{STUDIES}/{STUDY}/series")
    assert (series["0008103E"]["Value"], series["00201209"]["Value"]) == (["Right calf"], [1])


def test_removed_bytes_are_not_found_and_gone(house: House) -> None:
    client = house.client()
    upload(client, jpeg_file(jpeg_frames(1)))
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE instances SET removed_at = now()")
    assert studies_found(client) == []
    for path in ("", "/metadata", "/frames/1", "/rendered"):
        answer = client.get(f"{INSTANCE}{path}")
        assert (answer.status_code, answer.json()["type"]) == (410, "urn:sonomyo:problem:removed")
    assert client.get(f"{STUDIES}/{STUDY}").status_code == 410


def test_instance_of_before_the_search_is_found_by_what_was_kept_of_it(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE instances SET attributes = attributes - 'bits_allocated' - 'request_attributes'")
    (instance,) = found(client, f"{STUDIES}/{STUDY}/instances", includefield="all")
    assert instance["00280100"] == {"vr": "US"}
    assert json.dumps(instance["00280010"]) == '{"vr": "US", "Value": [8]}'
    assert found(client, "/dicom-web/series", **{"RequestAttributesSequence.RequestedProcedureID": "1"}) == []
