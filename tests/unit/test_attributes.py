"""Attributes from data sets that pydicom writes, in many languages and with many faults."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, Sequence
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from service.core.attributes import MAXIMUM_CHARACTERS, WANTED, is_uid, read_attributes
from service.core.character_sets import codecs_of, decode_text
from service.core.dataset_scan import DataSetScanner
from service.core.instance import InstanceAttributes
from service.errors import InputRejected

EXPLICIT = "1.2.840.10008.1.2.1"


def ultrasound(**values: object) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.3.1", "1.2.3.4"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def attributes_of(dataset: Dataset) -> InstanceAttributes:
    return attributes_of_bytes(encode(dataset))


def encode(dataset: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def attributes_of_bytes(data: bytes) -> InstanceAttributes:
    scanner = DataSetScanner(transfer_syntax_uid=EXPLICIT, wanted=WANTED)
    scanner.feed(data)
    return read_attributes(scanner.finish())


def test_attributes_of_a_full_cine() -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "X-1", "99TEST", "Calf"
    regions = [Dataset(), Dataset(), Dataset()]
    regions[0].RegionDataType, regions[1].RegionDataType = 1, 10
    found = attributes_of(
        ultrasound(
            Modality="US",
            ImageType=["ORIGINAL", "PRIMARY", "", "0001"],
            StudyDate="20260102",
            StudyTime="101112.5",
            StudyID="S1",
            StudyDescription="Leg",
            SeriesDescription="Gastrocnemius",
            ReferringPhysicianName="Muster^Max",
            PatientName="Muster^Erika",
            PatientID="0815",
            IssuerOfPatientID="Clinic",
            PatientBirthDate="19700101",
            PatientSex="F",
            AccessionNumber="A1",
            InstanceNumber="7",
            SeriesNumber="2",
            NumberOfFrames="60",
            Rows=480,
            Columns=640,
            SamplesPerPixel=3,
            PhotometricInterpretation="YBR_FULL_422",
            Laterality="R",
            BodyPartExamined="LEG",
            AnatomicRegionSequence=Sequence([code]),
            Manufacturer="Maker",
            ManufacturerModelName="Model",
            QualityControlImage="YES",
            SequenceOfUltrasoundRegions=Sequence(regions),
        )
    )
    identity = found.identity
    assert (identity.patient_name, identity.patient_id, identity.issuer_of_patient_id) == ("Muster^Erika", "0815", "Clinic")
    assert (identity.patient_birth_date, identity.patient_sex, identity.accession_number) == ("19700101", "F", "A1")
    assert (found.study_date, found.study_time, found.study_id) == ("20260102", "101112.5", "S1")
    assert (found.study_description, found.series_description) == ("Leg", "Gastrocnemius")
    assert (found.instance_number, found.series_number, found.number_of_frames) == (7, 2, 60)
    assert (found.rows, found.columns, found.samples_per_pixel) == (480, 640, 3)
    assert (found.anatomic_region_code, found.anatomic_region_meaning) == ("X-1", "Calf")
    assert (found.laterality, found.body_part_examined, found.quality_control_image) == ("right", "LEG", True)
    assert found.image_type == ("ORIGINAL", "PRIMARY", "", "0001")
    assert found.region_data_types == (1, 10, 0)
    assert found.referring_physician_name == "Muster^Max"
    assert (found.manufacturer, found.manufacturer_model_name, found.modality) == ("Maker", "Model", "US")
    assert not found.has_pixel_data


@pytest.mark.parametrize(("value", "expected"), [("YES", True), ("BOTH", True), ("NO", False), ("", False)])
def test_quality_control_image_is_one_when_any_of_it_is(*, value: str, expected: bool) -> None:
    assert attributes_of(ultrasound(QualityControlImage=value)).quality_control_image is expected


def test_attributes_that_are_absent_or_empty_are_none() -> None:
    found = attributes_of(ultrasound(PatientName="", NumberOfFrames=None, ImageType=[], Laterality=""))
    assert found.identity.patient_name is None
    assert (found.number_of_frames, found.laterality, found.image_type, found.region_data_types) == (None, None, (), ())


def test_image_laterality_wins_over_laterality() -> None:
    assert attributes_of(ultrasound(Laterality="R", ImageLaterality="L")).laterality == "left"
    assert attributes_of(ultrasound(Laterality="R", ImageLaterality="B")).laterality is None


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (["ISO 2022 IR 6", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 6", "ISO 2022 IR 159"], "Test=丂^丄"),
        (["ISO 2022 IR 6", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        (["ISO 2022 IR 6", "ISO 2022 IR 58"], "Zhang^XiaoDong=张^小东"),
        ("ISO_IR 144", "Иванов^Пётр"),
        ("ISO_IR 126", "Διονυσιος"),
        ("ISO_IR 127", "قباني^لنزار"),
        ("ISO_IR 138", "שרון^דבורה"),
        ("ISO_IR 100", "Äneas^Rüdiger"),
        ("ISO_IR 101", "Wałęsa^Łukasz"),
        ("ISO_IR 148", "Çavuşoğlu"),
        ("ISO_IR 166", "นามสกุล"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小东 Иванов 홍길동 😀"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("GBK", "Wang^XiaoDong=王^小东"),
        (["ISO 2022 IR 100", "ISO 2022 IR 144"], "Müller=Иванов"),
    ],
)
def test_name_in_its_character_set_is_read(character_set: str | list[str], name: str) -> None:
    dataset = ultrasound(SpecificCharacterSet=character_set, PatientName=name, StudyDescription=name.rsplit("=", maxsplit=1)[-1])
    found = attributes_of(dataset)
    assert found.identity.patient_name == name
    assert found.study_description == (name.rsplit("=", maxsplit=1)[-1] or None)


@pytest.mark.parametrize(
    ("character_set", "value", "text"),
    [
        (b"ISO_IR 9999", "Иванов".encode(), "Иванов"),
        (b"ISO_IR 9999", "M\xfcller".encode("latin-1"), "Müller"),
        (b"", "M\xfcller".encode("latin-1"), "Müller"),
        (b"", "Müller".encode(), "Müller"),
        (b"ISO_IR 6", "Иванов".encode(), "Иванов"),
        (b"ISO_IR 192", "M\xfcller".encode("latin-1"), "Müller"),
        (b"ISO IR 192", "Иванов".encode(), "Иванов"),
        (b"UTF-8", "Иванов".encode(), "Иванов"),
        (b"iso_ir 144 ", "Иванов".encode("iso8859-5"), "Иванов"),
        (b"\\ISO 2022 IR 87", b"Yamada=\x1b$B;3ED\x1b(B", "Yamada=山田"),
        (b"", b"Yamada=\x1b$B;3ED\x1b(B", "Yamada=山田"),
        (b"\\ISO 2022 IR 58", b"Zhang=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab", "Zhang=张^小东"),
        (b"ISO_IR 100", b"a\x1b[31mb\x00c\x07 ", "a[31mbc"),
        (b"ISO_IR 192", b"\xed\xa0\x80", "í\xa0"),
    ],
)
def test_text_under_a_wrong_or_odd_character_set_is_still_read(character_set: bytes, value: bytes, text: str) -> None:
    assert decode_text(value, codecs_of(character_set)) == text.strip()


@given(st.binary(max_size=60), st.binary(max_size=40))
def test_text_never_fails_and_always_fits_a_database(character_set: bytes, value: bytes) -> None:
    text = decode_text(value, codecs_of(character_set))
    assert "\0" not in text
    assert "\x1b" not in text
    text.encode()


def test_text_far_too_long_is_cut() -> None:
    found = attributes_of(ultrasound(StudyDescription="x"))
    assert found.study_description == "x"
    assert decode_text(b"a" * 9, ("ascii",)) == "a" * 9
    data = ultrasound()
    data.add_new(0x00200010, "UT", "y" * 20_000)
    assert attributes_of(data).study_id == "y" * MAXIMUM_CHARACTERS


@pytest.mark.parametrize("missing", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_data_set_without_a_uid_that_names_it_is_refused(missing: str) -> None:
    dataset = ultrasound()
    delattr(dataset, missing)
    with pytest.raises(InputRejected) as refused:
        attributes_of(dataset)
    assert refused.value.reason == "unidentified"


@pytest.mark.parametrize("uid", ["1", "1.2.840.10008.1.2", "2.25." + "9" * 38, "1.02.3", "1." + "2" * 62])
def test_uid_that_names_something_is_taken(uid: str) -> None:
    assert is_uid(uid)


@pytest.mark.parametrize("uid", ["", ".", "..", "1.", ".1", "1..2", "1.2\n", "1.2 ", "1.2/3", "1.٣", "1.²", "1." + "2" * 63, "a"])
def test_uid_that_names_nothing_is_refused(uid: str) -> None:
    assert not is_uid(uid)


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"60", 60), (b" 60 ", 60), (b"+1", 1), (b"-1", -1), (b"0", 0), (b"2147483647", 2**31 - 1), (b"3\\4", 3)]
    + [(text, None) for text in (b"2147483648", b"abc", b"1.5", b"", b"9" * 400, b"1e3", b"0x10", b"1_0")],
)
def test_integer_string_is_a_number_of_32_bits_or_none(text: bytes, number: int | None) -> None:
    frames = struct.pack("<HH2sH", 0x0028, 0x0008, b"IS", len(text)) + text
    assert attributes_of_bytes(encode(ultrasound()) + frames).number_of_frames == number
