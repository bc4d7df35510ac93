"""InstanceAttributes from the raw values of a scanned data set (PS3.3 C.7, C.8.5)."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import Literal

from service.core.character_sets import codecs_of, decode_text
from service.core.dataset_scan import ScannedDataSet, Wanted
from service.core.instance import InstanceAttributes, PatientIdentity, RequestAttributes
from service.errors import InputRejected


class Tag(IntEnum):
    """The top-level elements that are read, by their keyword (PS3.6 6)."""

    SPECIFIC_CHARACTER_SET = 0x00080005
    IMAGE_TYPE = 0x00080008
    SOP_CLASS_UID = 0x00080016
    SOP_INSTANCE_UID = 0x00080018
    STUDY_DATE = 0x00080020
    SERIES_DATE = 0x00080021
    CONTENT_DATE = 0x00080023
    STUDY_TIME = 0x00080030
    SERIES_TIME = 0x00080031
    CONTENT_TIME = 0x00080033
    ACCESSION_NUMBER = 0x00080050
    MODALITY = 0x00080060
    MANUFACTURER = 0x00080070
    REFERRING_PHYSICIAN_NAME = 0x00080090
    TIMEZONE_OFFSET_FROM_UTC = 0x00080201
    STUDY_DESCRIPTION = 0x00081030
    SERIES_DESCRIPTION = 0x0008103E
    MANUFACTURER_MODEL_NAME = 0x00081090
    PATIENT_NAME = 0x00100010
    PATIENT_ID = 0x00100020
    ISSUER_OF_PATIENT_ID = 0x00100021
    PATIENT_BIRTH_DATE = 0x00100030
    PATIENT_SEX = 0x00100040
    BODY_PART_EXAMINED = 0x00180015
    PROTOCOL_NAME = 0x00181030
    FRAME_TIME = 0x00181063
    STUDY_INSTANCE_UID = 0x0020000D
    SERIES_INSTANCE_UID = 0x0020000E
    STUDY_ID = 0x00200010
    SERIES_NUMBER = 0x00200011
    INSTANCE_NUMBER = 0x00200013
    LATERALITY = 0x00200060
    IMAGE_LATERALITY = 0x00200062
    SAMPLES_PER_PIXEL = 0x00280002
    PHOTOMETRIC_INTERPRETATION = 0x00280004
    NUMBER_OF_FRAMES = 0x00280008
    ROWS = 0x00280010
    COLUMNS = 0x00280011
    BITS_ALLOCATED = 0x00280100
    BITS_STORED = 0x00280101
    QUALITY_CONTROL_IMAGE = 0x00280300
    PERFORMED_PROCEDURE_STEP_START_DATE = 0x00400244
    PERFORMED_PROCEDURE_STEP_START_TIME = 0x00400245


_ANATOMIC_REGION_SEQUENCE, _CODE_VALUE, _CODE_MEANING = 0x00082218, 0x00080100, 0x00080104
_SEQUENCE_OF_ULTRASOUND_REGIONS, _REGION_DATA_TYPE = 0x00186011, 0x00186014
_REQUEST_ATTRIBUTES_SEQUENCE, _SCHEDULED_PROCEDURE_STEP_ID, _REQUESTED_PROCEDURE_ID = 0x00400275, 0x00400009, 0x00401001

WANTED = Wanted(
    elements=frozenset(map(int, Tag)),
    sequences={
        _ANATOMIC_REGION_SEQUENCE: frozenset({int(Tag.SPECIFIC_CHARACTER_SET), _CODE_VALUE, _CODE_MEANING}),
        _SEQUENCE_OF_ULTRASOUND_REGIONS: frozenset({_REGION_DATA_TYPE}),
        _REQUEST_ATTRIBUTES_SEQUENCE: frozenset(
            {int(Tag.SPECIFIC_CHARACTER_SET), _SCHEDULED_PROCEDURE_STEP_ID, _REQUESTED_PROCEDURE_ID}
        ),
    },
)

#: Longest text kept of one attribute: more than the standard allows, less than a database can index.
MAXIMUM_CHARACTERS = 512
#: Items kept of RequestAttributesSequence; an image that answers more requests than these is not found by the others.
_MAXIMUM_REQUESTS = 8
_UID = re.compile(r"\d+(?:\.\d+)*")
_INTEGER = re.compile(rb"[+-]?\d{1,12}")
_UID_LENGTH = 64
_INTEGER_32 = 1 << 31


def is_uid(text: str) -> bool:
    """Digits and dots, 64 at most (PS3.5 9.1). A leading zero in a component is let pass: devices send it, and it is harmless."""
    return len(text) <= _UID_LENGTH and text.isascii() and _UID.fullmatch(text) is not None


def read_attributes(scanned: ScannedDataSet) -> InstanceAttributes:
    """Raises InputRejected (`unidentified`) when a UID that names the object is absent or is no UID."""
    values = _Values(scanned.values, codecs_of(scanned.values.get(Tag.SPECIFIC_CHARACTER_SET)), scanned.byte_order)
    region_code, region_meaning = _anatomic_region(scanned, values)
    return InstanceAttributes(
        sop_instance_uid=values.uid(Tag.SOP_INSTANCE_UID, "SOP Instance UID"),
        sop_class_uid=values.uid(Tag.SOP_CLASS_UID, "SOP Class UID"),
        study_instance_uid=values.uid(Tag.STUDY_INSTANCE_UID, "Study Instance UID"),
        series_instance_uid=values.uid(Tag.SERIES_INSTANCE_UID, "Series Instance UID"),
        transfer_syntax_uid=scanned.transfer_syntax_uid,
        modality=values.text(Tag.MODALITY),
        identity=_identity(values),
        study_date=values.text(Tag.STUDY_DATE),
        study_time=values.text(Tag.STUDY_TIME),
        study_id=values.text(Tag.STUDY_ID),
        study_description=values.text(Tag.STUDY_DESCRIPTION),
        series_description=values.text(Tag.SERIES_DESCRIPTION),
        referring_physician_name=values.text(Tag.REFERRING_PHYSICIAN_NAME, person_name=True),
        instance_number=values.integer_text(Tag.INSTANCE_NUMBER),
        series_number=values.integer_text(Tag.SERIES_NUMBER),
        number_of_frames=values.integer_text(Tag.NUMBER_OF_FRAMES),
        frame_time_ms=values.decimal_text(Tag.FRAME_TIME),
        rows=values.unsigned(Tag.ROWS),
        columns=values.unsigned(Tag.COLUMNS),
        samples_per_pixel=values.unsigned(Tag.SAMPLES_PER_PIXEL),
        photometric_interpretation=values.text(Tag.PHOTOMETRIC_INTERPRETATION),
        laterality=_laterality(values),
        body_part_examined=values.text(Tag.BODY_PART_EXAMINED),
        anatomic_region_code=region_code,
        anatomic_region_meaning=region_meaning,
        manufacturer=values.text(Tag.MANUFACTURER),
        manufacturer_model_name=values.text(Tag.MANUFACTURER_MODEL_NAME),
        image_type=tuple((values.text(Tag.IMAGE_TYPE) or "").split("\\")) if values.text(Tag.IMAGE_TYPE) else (),
        quality_control_image=values.text(Tag.QUALITY_CONTROL_IMAGE) in ("YES", "BOTH"),
        has_pixel_data=scanned.has_pixel_data,
        region_data_types=_region_data_types(scanned),
        bits_allocated=values.unsigned(Tag.BITS_ALLOCATED),
        bits_stored=values.unsigned(Tag.BITS_STORED),
        series_date=values.text(Tag.SERIES_DATE),
        series_time=values.text(Tag.SERIES_TIME),
        content_date=values.text(Tag.CONTENT_DATE),
        content_time=values.text(Tag.CONTENT_TIME),
        timezone_offset_from_utc=values.text(Tag.TIMEZONE_OFFSET_FROM_UTC),
        protocol_name=values.text(Tag.PROTOCOL_NAME),
        performed_procedure_step_start_date=values.text(Tag.PERFORMED_PROCEDURE_STEP_START_DATE),
        performed_procedure_step_start_time=values.text(Tag.PERFORMED_PROCEDURE_STEP_START_TIME),
        request_attributes=_request_attributes(scanned, values),
    )


@dataclass(frozen=True, slots=True)
class _Values:
    """Raw values of one data set or item, and how to read them."""

    raw: Mapping[int, bytes]
    codecs: tuple[str, ...]
    byte_order: Literal["little", "big"]

    def uid(self, tag: int, name: str) -> str:
        text = self.raw.get(tag, b"").rstrip(b"\0 ").decode("latin-1")
        if not is_uid(text):
            raise InputRejected(f"The data set has no valid {name}", reason="unidentified")
        return text

    def text(self, tag: int, *, person_name: bool = False) -> str | None:
        value = self.raw.get(tag)
        if not value:
            return None
        return decode_text(value, self.codecs, person_name=person_name)[:MAXIMUM_CHARACTERS] or None

    def integer_text(self, tag: int) -> int | None:
        """The first value of an Integer String (PS3.5 6.2); None when it is no number of 32 bits."""
        text = self.raw.get(tag, b"").split(b"\\")[0].strip(b" \0")
        if not _INTEGER.fullmatch(text):
            return None
        number = int(text)
        return number if -_INTEGER_32 <= number < _INTEGER_32 else None

    def decimal_text(self, tag: int) -> float | None:
        """The first value of a Decimal String (PS3.5 6.2); None when it is no finite number."""
        try:
            number = float(self.raw.get(tag, b"").split(b"\\")[0].strip(b" \0"))
        except ValueError:
            return None
        return number if math.isfinite(number) else None

    def unsigned(self, tag: int) -> int | None:
        """The first value of an Unsigned Short."""
        value = self.raw.get(tag, b"")[:2]
        return int.from_bytes(value, self.byte_order) if len(value) == 2 else None  # noqa: PLR2004 - US, PS3.5 6.2


def _identity(values: _Values) -> PatientIdentity:
    return PatientIdentity(
        patient_id=values.text(Tag.PATIENT_ID),
        issuer_of_patient_id=values.text(Tag.ISSUER_OF_PATIENT_ID),
        patient_name=values.text(Tag.PATIENT_NAME, person_name=True),
        patient_birth_date=values.text(Tag.PATIENT_BIRTH_DATE),
        patient_sex=values.text(Tag.PATIENT_SEX),
        accession_number=values.text(Tag.ACCESSION_NUMBER),
    )


def _laterality(values: _Values) -> Literal["left", "right"] | None:
    sides: dict[str, Literal["left", "right"]] = {"L": "left", "R": "right"}
    text = values.text(Tag.IMAGE_LATERALITY) or values.text(Tag.LATERALITY)
    return sides.get(text) if text else None


def _anatomic_region(scanned: ScannedDataSet, outer: _Values) -> tuple[str | None, str | None]:
    """Code and meaning of the first item."""
    for item in _items(scanned, _ANATOMIC_REGION_SEQUENCE, outer):
        return item.text(_CODE_VALUE), item.text(_CODE_MEANING)
    return None, None


def _request_attributes(scanned: ScannedDataSet, outer: _Values) -> tuple[RequestAttributes, ...]:
    items = islice(_items(scanned, _REQUEST_ATTRIBUTES_SEQUENCE, outer), _MAXIMUM_REQUESTS)
    return tuple(RequestAttributes(item.text(_SCHEDULED_PROCEDURE_STEP_ID), item.text(_REQUESTED_PROCEDURE_ID)) for item in items)


def _items(scanned: ScannedDataSet, sequence: int, outer: _Values) -> Iterator[_Values]:
    """The items of a sequence; each may name a character set of its own."""
    for item in scanned.items.get(sequence, ()):
        own = item.get(Tag.SPECIFIC_CHARACTER_SET)
        yield _Values(item, codecs_of(own) if own else outer.codecs, outer.byte_order)


def _region_data_types(scanned: ScannedDataSet) -> tuple[int, ...]:
    regions = (_Values(item, (), scanned.byte_order) for item in scanned.items.get(_SEQUENCE_OF_ULTRASOUND_REGIONS, ()))
    return tuple(region.unsigned(_REGION_DATA_TYPE) or 0 for region in regions)
