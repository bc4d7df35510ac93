"""Each of the five analyses over the answers of networks that know, and a DICOM cine of what they know."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from service.core.analyses.analysis import Analysis, DescribeModel, Infer
from service.core.analyses.motor_units import MotorUnits
from service.core.analyses.muscle_state import MuscleState
from service.core.analyses.myofascial_pain import MyofascialPain
from service.core.analyses.wrist_hand import WristHand
from service.core.cine import Cine
from service.core.findings import Finding
from service.core.masks import MaskKeeper
from service.core.routing import RoutingRule, RoutingRules
from simulator.wrist import draw_volunteer
from tests import calf_parts, motor_parts, trapezius_parts, wrist_parts
from tests.cine_files import EXPLICIT, region
from tests.fakes import FakeAnalysis
from tests.integration.api_parts import as_file, dicom_dataset
from tests.integration.viewer_parts import DrawnMuscles, cine_file, contraction

_PLANE = "document.querySelector('[data-plane]').textContent.includes('S')"
_PLOTS_OF_STATES = "document.querySelectorAll('.plot .u-over').length >= 4"
_TRAINS = (
    f"document.querySelectorAll('button.unit').length === {len(motor_parts.UNITS)} && document.querySelector('.plot') !== null"
)


class Known(FakeAnalysis):
    """The real analysis; its networks' answers are made anew for each cine."""

    def __init__(self, work: Analysis, answers: Callable[[], Infer]) -> None:
        super().__init__(name=work.name, version=work.version)
        self._work, self._answers = work, answers

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        del infer, describe
        return tuple(self._work.analyse(cine, self._answers(), motor_parts.described, keep))


def known_units() -> Known:
    """Of the units of `motor_parts`."""
    return Known(MotorUnits(), motor_parts.knowing)


def known_states() -> Known:
    """Of the calf of `calf_parts`."""
    return Known(MuscleState(), lambda: calf_parts.Knowing(calf_parts.scanned()).infer)


@dataclass(frozen=True)
class Case:
    """A file, and what analyses it."""

    file: bytes
    analysis: FakeAnalysis
    #: What its viewer has at last, as an expression of the page's.
    shows: str = "document.querySelectorAll('.plot .u-over').length > 0"

    @property
    def rules(self) -> RoutingRules:
        """They send every cine to this analysis."""
        return RoutingRules(rules=(RoutingRule(analysis=self.analysis.name),))


def _muscle_architecture() -> Case:
    return Case(cine_file(contraction()), DrawnMuscles())


def _muscle_state() -> Case:
    return Case(file_of(calf_parts.cine_of(calf_parts.scanned(), uid="1.2.3")), known_states(), _PLOTS_OF_STATES)


def _wrist_hand() -> Case:
    shown = wrist_parts.pictures(draw_volunteer(11), *wrist_parts.well("S11", 5), *wrist_parts.well("S2", 6))
    work = WristHand(frames_per_batch=2)
    return Case(file_of(wrist_parts.cine_of(shown)), Known(work, lambda: wrist_parts.knowing(shown)), _PLANE)


def _motor_units() -> Case:
    return Case(fast_cine(), known_units(), _TRAINS)


def _myofascial_pain() -> Case:
    work = MyofascialPain(clips_per_batch=3)
    cine = trapezius_parts.spot_cine(bright_frames=range(10, 20))
    return Case(file_of(cine), Known(work, lambda: trapezius_parts.networks(offset=5.0)))


CASES: Mapping[str, Callable[[], Case]] = {
    "muscle_architecture": _muscle_architecture,
    "muscle_state": _muscle_state,
    "motor_units": _motor_units,
    "wrist_hand": _wrist_hand,
    "myofascial_pain": _myofascial_pain,
}


def fast_cine() -> bytes:
    """512 frames at 4 ms, the picture filling the frame."""
    frames = [frame.pixels for frame in motor_parts.motor_cine().frames()]
    tissue = region(
        0, 0, motor_parts.SIDE - 1, motor_parts.SIDE - 1, PhysicalDeltaX=motor_parts.MM / 10, PhysicalDeltaY=motor_parts.MM / 10
    )
    own: dict[str, Any] = {"FrameIncrementPointer": 0x00181063, "FrameTime": "4", "SequenceOfUltrasoundRegions": [tissue]}
    dataset = dicom_dataset("1.2.3", frames=1, **own)
    dataset.NumberOfFrames = len(frames)
    dataset.Rows = dataset.Columns = motor_parts.SIDE
    dataset.PixelData = b"".join(frame.tobytes() for frame in frames)
    return as_file(dataset, EXPLICIT)


def file_of(cine: Cine) -> bytes:
    """A cine of grey pictures, calibrated and at an even rate, as a DICOM file."""
    box, scale, times = cine.region.box, cine.region.calibration, cine.time_axis.seconds
    assert scale.mm_per_pixel_x is not None
    assert scale.mm_per_pixel_y is not None
    assert times is not None
    deltas = {"PhysicalDeltaX": scale.mm_per_pixel_x / 10, "PhysicalDeltaY": scale.mm_per_pixel_y / 10}
    own: dict[str, Any] = {
        "FrameIncrementPointer": 0x00181063,
        "FrameTime": f"{1000 * (times[1] - times[0]):.8g}",
        "SequenceOfUltrasoundRegions": [region(box.x0, box.y0, box.x1 - 1, box.y1 - 1, **deltas)],
        "Laterality": {"left": "L", "right": "R", None: ""}[cine.laterality],
        "StudyDescription": "Untersuchung",
    }
    dataset = dicom_dataset(cine.sop_instance_uid, frames=1, **own)
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = cine.number_of_frames, cine.rows, cine.columns
    dataset.PixelData = b"".join(cine.picture(number)[..., 0].tobytes() for number in range(1, cine.number_of_frames + 1))
    return as_file(dataset, EXPLICIT)
