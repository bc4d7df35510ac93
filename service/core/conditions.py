"""Conditions that rules put on an instance: what it says of itself, and the AE titles by which it came.

Rules of analyses and rules of deliveries share them.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from service.core.codes import BODY_PARTS
from service.core.findings import Value
from service.core.instance import InstanceAttributes

_MS_PER_SECOND = 1000.0
#: As a rule calls itself: one line for people.
RuleName = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]


@dataclass(frozen=True, slots=True)
class Arrival:
    """An instance and its way here; an upload has no AE titles."""

    attributes: InstanceAttributes
    called_ae_title: str | None = None
    calling_ae_title: str | None = None


class LookedAt(Value):
    """The values of an instance that rules look at, as they are read; no patient is among them."""

    sop_class_uid: str
    has_pixel_data: bool
    number_of_frames: int
    #: Frames a second by Frame Time (0018,1063).
    frame_rate: float | None
    quality_control_image: bool
    #: Region Data Type (0018,6014) of each ultrasound region.
    region_data_types: tuple[int, ...]
    image_type: tuple[str, ...]
    body_part_examined: str | None
    anatomic_region_code: str | None
    #: What rules take for the region: its code, else what Body Part Examined means.
    region: str | None
    manufacturer: str | None
    called_ae_title: str | None
    calling_ae_title: str | None


class InstanceConditions(Value):
    """What an instance must be. An empty list allows all; `none_of` lists win; text is compared without case, but AE titles."""

    minimum_frames: Annotated[int, Field(ge=1)] = 1
    #: Frames a second by Frame Time: at least so many, and fewer than so many, which an unknown rate is.
    minimum_frame_rate: Annotated[float, Field(gt=0)] | None = None
    below_frame_rate: Annotated[float, Field(gt=0)] | None = None
    called_ae_titles: tuple[str, ...] = ()
    calling_ae_titles: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    none_of_body_parts: tuple[str, ...] = ()
    anatomic_region_codes: tuple[str, ...] = ()
    none_of_anatomic_region_codes: tuple[str, ...] = ()
    manufacturers: tuple[str, ...] = ()

    def unmet(self, arrival: Arrival) -> str | None:
        """The first condition that the instance fails, as a clause that quotes none of its text; None when it meets all."""
        attributes = arrival.attributes
        if (frames := frames_of(attributes)) < self.minimum_frames:
            return f"it has {frames} frame(s) and the rule asks for at least {self.minimum_frames}"
        if (why := self._unmet_rate(frame_rate_of(attributes))) is not None:
            return why
        ways = (
            ("to", self.called_ae_titles, arrival.called_ae_title),
            ("by", self.calling_ae_titles, arrival.calling_ae_title),
        )
        for way, listed, title in ways:
            if listed and (title or "").strip() not in {one.strip() for one in listed}:
                return f"it was not sent {way} one of the AE titles that the rule lists"
        wishes = (
            ("Body Part Examined", self.body_parts, self.none_of_body_parts, attributes.body_part_examined),
            ("Anatomic Region code", self.anatomic_region_codes, self.none_of_anatomic_region_codes, region_of(attributes)),
            ("Manufacturer", self.manufacturers, (), attributes.manufacturer),
        )
        for name, wished, left_out, value in wishes:
            if _among(value, left_out):
                return f"its {name} is one that the rule leaves out"
            if wished and not _among(value, wished):
                return f"its {name} is {'absent' if value is None else 'not one that the rule lists'}"
        return None

    def _unmet_rate(self, rate: float | None) -> str | None:
        if self.minimum_frame_rate is not None and (rate or 0.0) < self.minimum_frame_rate:
            told = "Frame Time tells no frame rate" if rate is None else f"it has {rate:.1f} frames a second"
            return f"{told} and the rule asks for at least {self.minimum_frame_rate:g}"
        if self.below_frame_rate is not None and rate is not None and rate >= self.below_frame_rate:
            return f"it has {rate:.1f} frames a second and the rule takes fewer than {self.below_frame_rate:g}"
        return None

    @property
    def asks_of_instances(self) -> bool:
        """Whether any condition is set."""
        return any(getattr(self, name) != field.default for name, field in InstanceConditions.model_fields.items())


def looked_at(arrival: Arrival) -> LookedAt:
    """What rules see of an instance."""
    attributes = arrival.attributes
    return LookedAt(
        sop_class_uid=attributes.sop_class_uid,
        has_pixel_data=attributes.has_pixel_data,
        number_of_frames=frames_of(attributes),
        frame_rate=frame_rate_of(attributes),
        quality_control_image=attributes.quality_control_image,
        region_data_types=attributes.region_data_types,
        image_type=attributes.image_type,
        body_part_examined=attributes.body_part_examined,
        anatomic_region_code=attributes.anatomic_region_code,
        region=region_of(attributes),
        manufacturer=attributes.manufacturer,
        called_ae_title=arrival.called_ae_title,
        calling_ae_title=arrival.calling_ae_title,
    )


def frames_of(attributes: InstanceAttributes) -> int:
    """One where Number of Frames is absent."""
    return attributes.number_of_frames or 1


def frame_rate_of(attributes: InstanceAttributes) -> float | None:
    """Frames a second by Frame Time; None where there is none above 0."""
    step_ms = attributes.frame_time_ms
    return _MS_PER_SECOND / step_ms if step_ms is not None and step_ms > 0 else None


def region_of(attributes: InstanceAttributes) -> str | None:
    """The code of Anatomic Region Sequence, else what Body Part Examined means."""
    if attributes.anatomic_region_code is not None:
        return attributes.anatomic_region_code
    meant = BODY_PARTS.get((attributes.body_part_examined or "").strip().upper())
    return None if meant is None else meant.value


def _among(value: str | None, listed: tuple[str, ...]) -> bool:
    return value is not None and value.strip().casefold() in {item.strip().casefold() for item in listed}
