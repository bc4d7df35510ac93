"""How good a cine of a muscle is, in the vocabulary of `service.core.quality`; a C is not measured."""

from collections.abc import Sequence

import numpy as np

from service.core.measure.architecture import LARGEST_EXTRAPOLATED_SHARE, FrameArchitecture
from service.core.measure.checks import Doubts
from service.core.quality import Fault

#: Fewer frames with fascicles than this share, or more impossible ones, are a fault of the cine.
_SMALLEST_SHARE = 0.8
_MOST_IMPOSSIBLE = 0.1


def cine_faults(frames: Sequence[FrameArchitecture], doubts: Doubts) -> tuple[Fault, ...]:
    """What is wrong with a cine that shows a muscle; all are light, so that it takes three to make a C."""
    measured = sum(frame.pennation_deg is not None for frame in frames) / len(frames)
    impossible = len(doubts) / len(frames)
    found = {
        "some_frames_not_measured": (
            f"fascicles were measured in {measured:.0%} of the frames: hold the probe along them, with full contact",
            measured < _SMALLEST_SHARE,
        ),
        "impossible_frames_left_out": (f"{impossible:.0%} of the frames are impossible", impossible > _MOST_IMPOSSIBLE),
        "mostly_extrapolated": (
            "fascicles continue far beyond what is seen: use a wider picture, or move towards their middle",
            is_mostly_extrapolated(frames),
        ),
    }
    return tuple(Fault(reason=reason, text=text) for reason, (text, applies) in found.items() if applies)


def is_mostly_extrapolated(frames: Sequence[FrameArchitecture]) -> bool:
    """Whether most of the fascicles' length lies beyond what is seen."""
    shares = [frame.extrapolated_share for frame in frames if frame.extrapolated_share is not None]
    return bool(shares) and float(np.median(shares)) > LARGEST_EXTRAPOLATED_SHARE
