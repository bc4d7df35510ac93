"""What a client says of its frames before they come: the first message of an examination (docs/live.md)."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.core.cine import Box, Calibration
from service.core.live_frames import LARGEST_SIDE, FrameFormat
from service.core.render.still import LiveStudy

#: What a DICOM value cannot hold (PS3.5 6.1.3).
_NO_CONTROLS = r"^[^\\\x00-\x1f\x7f]*$"


class LiveStart(BaseModel):
    """The first message."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: FrameFormat = "jpeg"
    #: Of raw frames.
    rows: Annotated[int | None, Field(ge=32, le=LARGEST_SIDE)] = None
    columns: Annotated[int | None, Field(ge=32, le=LARGEST_SIDE)] = None
    #: Of the frames as they are sent; without it nothing is measured.
    mm_per_pixel: Annotated[float | None, Field(gt=0, le=2)] = None
    #: x0, y0, x1, y1: the part of the frames that the scanner's picture fills; without it all.
    region: tuple[int, int, int, int] | None = None
    #: Keep a frame of each plane that is shown well, as DICOM.
    keep: bool = False
    patient_id: Annotated[str | None, Field(max_length=64, pattern=_NO_CONTROLS)] = None
    accession_number: Annotated[str | None, Field(max_length=16, pattern=_NO_CONTROLS)] = None
    laterality: Literal["L", "R"] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "LiveStart":
        if self.format == "raw" and (self.rows is None or self.columns is None):
            raise ValueError("raw frames need rows and columns")
        if self.region is not None:
            x0, y0, x1, y1 = self.region
            if not (0 <= x0 < x1 and 0 <= y0 < y1):
                raise ValueError("region is x0, y0, x1, y1 with x0 < x1 and y0 < y1")
        return self

    @property
    def calibration(self) -> Calibration:
        """Of the frames as they are sent."""
        mm = self.mm_per_pixel
        return Calibration(mm, mm, "the sender", None if mm is not None else "the sender gave no scale")

    @property
    def box(self) -> Box | None:
        """The region, or None for the whole frame."""
        return None if self.region is None else Box(*self.region)

    def study(self) -> LiveStudy:
        """A new one, that begins now, for the frames that are kept."""
        return LiveStudy(
            name=uuid.uuid4().hex,
            patient_id=self.patient_id,
            accession_number=self.accession_number,
            laterality=self.laterality,
            mm_per_pixel=self.mm_per_pixel,
            is_lossy=self.format == "jpeg",
            began_at=datetime.now(UTC),
        )
