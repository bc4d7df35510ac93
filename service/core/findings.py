"""What an analysis says: findings, each traceable to the frames and the model that it came from."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Value(BaseModel):
    """Base of what is stored or sent: frozen, and closed to unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Code(Value):
    """A coded concept (PS3.3 8): scheme designator, value, meaning. Codes live in `core/codes.py` only."""

    scheme: str
    value: str
    meaning: str


class FindingSite(Value):
    """Where in the body (TID 300 row 6, CID 244 for laterality)."""

    code: Code | None = None
    laterality: Literal["left", "right", "bilateral"] | None = None


class FindingKind(StrEnum):
    """What sort of statement a finding is."""

    MEASUREMENT = "measurement"
    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"
    QUALITY = "quality"
    NOT_MEASURED = "not_measured"


class Interval(Value):
    """An interval that holds the true value with probability `level`."""

    low: float
    high: float
    level: Annotated[float, Field(gt=0, lt=1)]


class Series(Value):
    """A value against time, one entry a frame; null where the frame could not be measured.

    `smoothed` is the course through the values and `low` to `high` its 95 % band, as far as the values' own noise tells; empty
    where nothing was smoothed, null where no measured frame is near. With `level` the band holds each frame's true value with
    that probability instead.
    """

    time_seconds: tuple[float | None, ...]
    values: tuple[float | None, ...]
    unit: str
    smoothed: tuple[float | None, ...] = ()
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    #: DICOM frame numbers whose value is impossible: it stands in `values` as it was read, and takes part in nothing.
    left_out: tuple[int, ...] = ()
    level: Annotated[float, Field(gt=0, lt=1)] | None = None


class Change(Value):
    """A smoothed value at rest and at the peak, in `unit`; `low` to `high` holds the excursion, peak less rest, in 95 %."""

    rest: float
    peak: float
    excursion: float
    low: float | None = None
    high: float | None = None
    unit: str


class Contraction(Value):
    """One contraction of a cine, from rest to peak. Without `has_ended` the muscle had not relaxed when the cine ended."""

    rest_frame: int
    peak_frame: int
    rest_seconds: float | None = None
    peak_seconds: float | None = None
    has_ended: bool
    pennation: Change
    thickness: Change | None = None
    fascicle_length: Change | None = None
    #: The greatest speed at which the fascicles shortened, mm/s, and its 95 % interval; null without time or millimetres.
    shortening_velocity: float | None = None
    shortening_velocity_low: float | None = None
    shortening_velocity_high: float | None = None


class ShownFrame(Value):
    """What one frame of a wrist shows: its plane with the probability, or none; its grade, and the rules that decided that."""

    frame: int
    plane: str | None
    probability: float
    grade: Literal["A", "B", "C"] | None = None
    reasons: tuple[str, ...] = ()
    #: Names of those that were drawn.
    structures: tuple[str, ...] = ()


class Twitch(Value):
    """The mean over all discharges of what a motor unit does to the tissue: velocity in `unit`, seconds after the discharge."""

    time_seconds: tuple[float, ...]
    values: tuple[float, ...]
    unit: str


class MotorUnit(Value):
    """One motor unit of a recording. Millimetres are from the left and upper edge of the scanned sector."""

    #: From 1, as pictures show it; the surest first.
    number: int
    centre_mm: tuple[float, float]
    area_mm2: float
    firings_seconds: tuple[float, ...]
    rate_hz: float
    #: Coefficient of variation of the intervals between firings: 0 is perfectly regular.
    interval_variation: float
    twitch: Twitch
    #: As sure as the network is of its centre.
    sureness: float


class CalibrationUsed(Value):
    """The scale behind a number. `source` names the attribute, `reason` says why there is none."""

    mm_per_pixel_x: float | None = None
    mm_per_pixel_y: float | None = None
    source: str
    reason: str | None = None


class Polyline(Value):
    """Points (column, row) in pixels of the stored frame, 0-based, for overlays and SCOORD (PS3.3 C.18.6)."""

    label: str
    frame: int
    points: tuple[tuple[float, float], ...]


class Evidence(Value):
    """What a finding was read from. Frames are DICOM frame numbers, from 1."""

    sop_instance_uid: str
    frames: tuple[int, ...] = ()
    region_index: int | None = None
    calibration: CalibrationUsed | None = None
    time_seconds: tuple[float | None, ...] = ()
    lines: tuple[Polyline, ...] = ()
    pixel_sha256: str | None = None


class AnalysisUsed(Value):
    """The analysis that made a finding; its version covers the geometry and thresholds."""

    name: str
    version: str


class ModelUsed(Value):
    """The network behind a finding (TID 4019).

    `evidence` says on what its figures rest, `pretraining` by which method it, or what it reads, learnt without labels.
    """

    name: str
    version: str
    sha256: str
    evidence: Literal["simulated", "real"]
    pretraining: str | None = None
    runtime: str | None = None
    precision: str | None = None


class Said(Value):
    """What the software had said of a finding that a person has amended."""

    value: float | str | None = None
    interval: Interval | None = None
    probability: float | None = None
    statistic: str | None = None
    range: tuple[float, float] | None = None
    flags: tuple[str, ...] = ()
    text: str
    #: Where the finding rests on other evidence since; null where that is as it was.
    evidence: Evidence | None = None


class Acceptance(Value):
    """A person has looked at a finding, and left it as it is."""

    by: str
    user_id: str
    at: datetime


class Amendment(Value):
    """What a person made of a finding, and why; a rejected one has no value any more.

    `method`: the value was typed, measured on lines that the person drew, or computed from what that person amended.
    """

    by: str
    user_id: str
    at: datetime
    why: str
    is_rejected: bool = False
    method: Literal["typed", "drawn", "computed"] = "typed"
    original: Said


class Finding(Value):
    """One statement of a report; the shape is fixed by the interface document."""

    finding_id: str
    name: str
    kind: FindingKind
    analysis: AnalysisUsed
    code: Code | None = None
    site: FindingSite | None = None
    value: float | str | None = None
    unit: str | None = None
    interval: Interval | None = None
    probability: float | None = None
    #: In words, with whose it is; only where there is a source, and a mean of others is said to be one.
    reference_range: str | None = None
    flags: tuple[str, ...] = ()
    text: str
    evidence: Evidence
    model: ModelUsed | None = None
    series: Series | None = None
    #: Of `contraction_count`: all of them, in order.
    contractions: tuple[Contraction, ...] = ()
    #: Of `image_quality` of a wrist: every frame.
    shown_frames: tuple[ShownFrame, ...] = ()
    #: Of `motor_unit`: where it lies and when it fired; `series` is its twitch train.
    motor_unit: MotorUnit | None = None
    #: What `value` summarises: "median" over frames, for example; with `range` the extremes.
    statistic: str | None = None
    range: tuple[float, float] | None = None
    #: Full name of the person whose word the finding is now; `amended` tells the rest.
    amended_by: str | None = None
    amended: Amendment | None = None
    #: Null where nobody has said so of the finding as it is.
    accepted: Acceptance | None = None

    @property
    def is_computed(self) -> bool:
        """Whether it was computed anew from what a person amended."""
        return self.amended is not None and self.amended.method == "computed"

    @property
    def is_rejected(self) -> bool:
        """Whether a person has said that the finding is wrong."""
        return self.amended is not None and self.amended.is_rejected
