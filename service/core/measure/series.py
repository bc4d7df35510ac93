"""Values over the frames of a cine come to one number: median, range, and the frame that shows it best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Frames whose evidence differs by less than this are equally good; the one nearest to the median is shown.
_EVIDENCE_STEP = 0.1


@dataclass(frozen=True, slots=True)
class Summary:
    """Of the frames that were measured; `best` is an index into all frames."""

    median: float
    low: float
    high: float
    measured: int
    best: int


def summarise(values: Sequence[float | None], evidence: Sequence[float]) -> Summary | None:
    """Median and range of the values that exist, and the best-shown frame by `evidence` (0 to 1 each); None without a value."""
    known = [(index, value) for index, value in enumerate(values) if value is not None]
    if not known:
        return None
    numbers = np.array([value for _, value in known])
    median = float(np.median(numbers))
    spread = float(np.ptp(numbers)) or 1.0
    best = max(known, key=lambda item: (round(evidence[item[0]] / _EVIDENCE_STEP), -abs(item[1] - median) / spread))
    return Summary(median, float(numbers.min()), float(numbers.max()), len(known), best[0])
