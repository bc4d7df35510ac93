"""Each call of dicomweb-client, a DICOMweb client of others, against the running service on a real port."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from PIL import Image
from pydicom.uid import UID
from requests import HTTPError
from sqlalchemy import Engine

from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import ADMINISTRATOR_KEY, PATIENT_NAME, STUDY, House, dicom_file
from tests.integration.dicomweb_parts import EXPLICIT, JPEG, SERIES, dicomweb_house, jpeg_file, jpeg_frames
from tests.running import free_port

OTHER = "1.2.826.0.1.3680043.8.498.8"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path, port: int) -> Iterator[House]:
    # The client names its host without the port, so the service has to be told its address.
    with dicomweb_house(engine, units, tmp_path, public_url=f"http://127.0.0.1:{port}") as made:
        yield made


@pytest.fixture
def client(house: House, port: int) -> Iterator[DICOMwebClient]:
    with house.served(port) as address:
        yield DICOMwebClient(url=f"{address}/dicom-web", headers={"Authorization": f"Bearer {ADMINISTRATOR_KEY}"})


def dataset_of(content: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(BytesIO(content))


def store(client: DICOMwebClient, *files: bytes) -> pydicom.Dataset:
    return client.store_instances([dataset_of(content) for content in files])


def report(house: House) -> None:
    """The study's report, with an SR of it."""
    house.client().post(f"/api/v1/studies/{STUDY}/complete").raise_for_status()
    house.work()


def test_client_stores_and_finds_studies_series_and_instances(client: DICOMwebClient) -> None:
    told = store(client, dicom_file(), dicom_file("1.2.4"), dicom_file("1.2.5", study=OTHER, PatientID="P2"))
    assert [item.ReferencedSOPInstanceUID for item in told.ReferencedSOPSequence] == ["1.2.3", "1.2.4", "1.2.5"]
    assert "FailedSOPSequence" not in told
    studies = client.search_for_studies()
    assert [study["0020000D"]["Value"] for study in studies] == [[OTHER], [STUDY]]
    (found,) = client.search_for_studies(search_filters={"PatientID": "P1"}, fields=["StudyDescription"])
    assert found["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": PATIENT_NAME}]}
    assert found["00081030"]["Value"] == ["Calf"]
    assert found["00201208"]["Value"] == [2]
    assert len(client.search_for_series()) == 2
    (series,) = client.search_for_series(STUDY)
    assert (series["0020000E"]["Value"], series["00201209"]["Value"]) == ([SERIES], [2])
    assert len(client.search_for_instances()) == 3
    assert len(client.search_for_instances(STUDY)) == 2
    instances = client.search_for_instances(STUDY, SERIES, limit=1, offset=1)
    assert [instance["00080018"]["Value"] for instance in instances] == [["1.2.4"]]


def test_client_pages_through_all_that_is_there(client: DICOMwebClient) -> None:
    store(client, *(dicom_file(f"1.2.{number}", study=f"1.9.{number}") for number in range(1, 6)))
    found = client.search_for_studies(limit=2, get_remaining=True)
    assert {study["0020000D"]["Value"][0] for study in found} == {f"1.9.{number}" for number in range(1, 6)}


def test_client_retrieves_a_study_with_what_we_made_of_it(client: DICOMwebClient, house: House) -> None:
    store(client, dicom_file(), dicom_file("1.2.4"))
    report(house)
    modalities = client.search_for_studies()[0]["00080061"]["Value"]
    assert modalities == ["SR", "US"]
    retrieved = client.retrieve_study(STUDY)
    assert sorted(instance.Modality for instance in retrieved) == ["SR", "US", "US"]
    assert [instance.SOPInstanceUID for instance in client.iter_study(STUDY)] == [one.SOPInstanceUID for one in retrieved]
    metadata = client.retrieve_study_metadata(STUDY)
    assert [one["00080018"]["Value"][0] for one in metadata] == [one.SOPInstanceUID for one in retrieved]
    (document,) = [one for one in metadata if one["00080060"]["Value"] == ["SR"]]
    assert document["0040A730"]["vr"] == "SQ"


def test_client_retrieves_a_series(client: DICOMwebClient) -> None:
    store(client, dicom_file(), dicom_file("1.2.4"))
    assert [one.SOPInstanceUID for one in client.retrieve_series(STUDY, SERIES)] == ["1.2.3", "1.2.4"]
    assert [one.SOPInstanceUID for one in client.iter_series(STUDY, SERIES)] == ["1.2.3", "1.2.4"]
    assert len(client.retrieve_series_metadata(STUDY, SERIES)) == 2


def test_client_retrieves_an_instance_in_both_syntaxes(client: DICOMwebClient) -> None:
    frames = jpeg_frames(2)
    store(client, jpeg_file(frames))
    stored = client.retrieve_instance(STUDY, SERIES, "1.2.3", media_types=(("application/dicom", "*"),))
    assert stored.file_meta.TransferSyntaxUID == JPEG
    plain = client.retrieve_instance(STUDY, SERIES, "1.2.3", media_types=(("application/dicom", EXPLICIT),))
    assert plain.file_meta.TransferSyntaxUID == EXPLICIT
    assert plain.pixel_array.shape == (2, 8, 8)
    assert plain.pixel_array[1, 4, 4] == pytest.approx(80, abs=2)
    metadata = client.retrieve_instance_metadata(STUDY, SERIES, "1.2.3")
    assert metadata["00280008"]["Value"] == [2]


def test_client_retrieves_frames_and_all_of_them_as_bulk_data(client: DICOMwebClient) -> None:
    frames = jpeg_frames(3)
    store(client, jpeg_file(frames))
    retrieved = client.retrieve_instance_frames(STUDY, SERIES, "1.2.3", [3, 1], media_types=(("image/jpeg", JPEG),))
    assert [bytes(one)[: len(frame)] for one, frame in zip(retrieved, [frames[2], frames[0]], strict=True)] == [
        frames[2],
        frames[0],
    ]
    (plain,) = client.iter_instance_frames(STUDY, SERIES, "1.2.3", [2], media_types=("application/octet-stream",))
    assert np.frombuffer(plain, np.uint8).tolist() == pytest.approx([80] * 64, abs=2)
    address = client.retrieve_instance_metadata(STUDY, SERIES, "1.2.3")["7FE00010"]["BulkDataURI"]
    assert len(client.retrieve_bulkdata(address)) == 3
    assert len(list(client.iter_bulkdata(address))) == 3


def test_client_retrieves_a_large_value_by_its_address(client: DICOMwebClient) -> None:
    document = bytes(range(256)) * 8
    store(client, dicom_file(ICCProfile=document))
    address = client.retrieve_instance_metadata(STUDY, SERIES, "1.2.3")["00282000"]["BulkDataURI"]
    assert client.retrieve_bulkdata(address) == [document]


def test_client_retrieves_pictures(client: DICOMwebClient) -> None:
    store(client, jpeg_file(jpeg_frames(3)))
    frame = client.retrieve_instance_frames_rendered(STUDY, SERIES, "1.2.3", [2], media_types=("image/png",))
    instance = client.retrieve_instance_rendered(STUDY, SERIES, "1.2.3", media_types=("image/jpeg",), params={"quality": 80})
    series = client.retrieve_series_rendered(STUDY, SERIES, media_types=("image/jpeg",))
    greys = [np.asarray(Image.open(BytesIO(one)).convert("L"))[4, 4] for one in (frame, instance, series)]
    assert greys == pytest.approx([80, 40, 40], abs=3)


def test_client_that_asks_for_fuzzy_matching_gets_literal_matches(client: DICOMwebClient) -> None:
    store(client, dicom_file())
    literal = client.search_for_studies(fuzzymatching=True, search_filters={"PatientName": PATIENT_NAME})
    assert [study["0020000D"]["Value"] for study in literal] == [[STUDY]]
    assert client.search_for_studies(fuzzymatching=True, search_filters={"PatientName": f"{PATIENT_NAME}x"}) == []


def test_client_cannot_delete(client: DICOMwebClient) -> None:
    store(client, dicom_file())
    with pytest.raises(HTTPError, match="405"):
        client.delete_study(STUDY)
    with pytest.raises(HTTPError, match="405"):
        client.delete_series(STUDY, SERIES)
    with pytest.raises(HTTPError, match="405"):
        client.delete_instance(STUDY, SERIES, "1.2.3")
    assert len(client.search_for_instances(STUDY)) == 1


def test_client_is_told_which_instance_was_refused(client: DICOMwebClient) -> None:
    stranger = dataset_of(dicom_file("1.2.6"))
    stranger.SOPClassUID = stranger.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.4")
    told = client.store_instances([dataset_of(dicom_file()), stranger])
    (failed,) = told.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == ("1.2.6", 0x0122)
    assert [item.ReferencedSOPInstanceUID for item in told.ReferencedSOPSequence] == ["1.2.3"]
