"""The indexed attributes of an instance: what routing, completion and the worklist need, without the pixels."""

from dataclasses import dataclass, field
from typing import Literal

#: Manufacturer of the stills that live guidance keeps: no other system has them, so reports on them alone are not sent.
LIVE_MANUFACTURER = "Sonomyo live"


@dataclass(frozen=True, slots=True)
class PatientIdentity:
    """Who and which order: a change of any of these opens a new draft (architecture decision 2)."""

    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    patient_name: str | None = None
    patient_birth_date: str | None = None
    patient_sex: str | None = None
    accession_number: str | None = None


@dataclass(frozen=True, slots=True)
class RequestAttributes:
    """One item of RequestAttributesSequence, as far as it can be searched for (PS3.18 Table 10.6.1-5)."""

    scheduled_procedure_step_id: str | None = None
    requested_procedure_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceAttributes:
    """One instance's attributes, text decoded by SpecificCharacterSet (PS3.5 6.1)."""

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    modality: str | None = None
    identity: PatientIdentity = field(default_factory=PatientIdentity)
    study_date: str | None = None
    study_time: str | None = None
    study_id: str | None = None
    study_description: str | None = None
    series_description: str | None = None
    referring_physician_name: str | None = None
    instance_number: int | None = None
    series_number: int | None = None
    number_of_frames: int | None = None
    #: Frame Time (0018,1063); rows of versions before it have none.
    frame_time_ms: float | None = None
    rows: int | None = None
    columns: int | None = None
    samples_per_pixel: int | None = None
    photometric_interpretation: str | None = None
    laterality: Literal["left", "right"] | None = None
    body_part_examined: str | None = None
    anatomic_region_code: str | None = None
    anatomic_region_meaning: str | None = None
    manufacturer: str | None = None
    manufacturer_model_name: str | None = None
    image_type: tuple[str, ...] = ()
    quality_control_image: bool = False
    has_pixel_data: bool = False
    #: RegionDataType of each item of SequenceOfUltrasoundRegions (PS3.3 C.8.5.5.1.2); empty when the sequence is absent.
    region_data_types: tuple[int, ...] = ()
    # What follows is read for QIDO-RS alone; rows of versions before it have none of it.
    bits_allocated: int | None = None
    bits_stored: int | None = None
    series_date: str | None = None
    series_time: str | None = None
    content_date: str | None = None
    content_time: str | None = None
    timezone_offset_from_utc: str | None = None
    protocol_name: str | None = None
    performed_procedure_step_start_date: str | None = None
    performed_procedure_step_start_time: str | None = None
    request_attributes: tuple[RequestAttributes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentDigest:
    """Hashes by which duplicates are judged; BLAKE3, hexadecimal.

    `attributes` covers every byte of the data set outside the top-level Pixel Data element, `pixels` its value.
    """

    attributes: str
    pixels: str
