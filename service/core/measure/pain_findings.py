"""The windows of a cine, scored, become the findings of myofascial pain; those of several cines become the study's."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.core import codes, wording
from service.core.cine import Cine
from service.core.clips import Clip
from service.core.findings import AnalysisUsed, Finding, FindingKind, FindingSite, Interval, ModelUsed, Polyline, Series
from service.core.identifiers import derive_uid
from service.core.measure.grounds import evidence_of, said_by
from service.core.muscle_strip import Strip
from service.core.quality import Fault, Grade, grade_of, stated

NAME = "myofascial_pain_probability"
STUDY_NAME = "myofascial_pain_probability_of_study"
#: Stands with every such number, in code and text.
SIMULATION_TRAINED = "simulation_trained"
NOT_VALIDATED = "simulation-trained, not validated in people"

Floats = npt.NDArray[np.float64]

_LEVEL = 0.9
_EVEN = 0.5
#: One cine alone needs no second number.
_SEVERAL = 2
_UNIT = "{ratio}"
#: A cine is like those trained on when at least this share of its windows is.
_SMALLEST_KNOWN_SHARE = 0.5
#: The fault of a cine that is not measured.
_UNLIKE = "out_of_distribution"
#: Squares are outlined that drive the score at least this share of what the strongest does.
_DRIVING_SHARE = 0.5
_DRIVES = "drives_the_score"
_POINTS_A_SIDE = 5


@dataclass(frozen=True, slots=True)
class Window:
    """DICOM frame numbers, logits (first the classifier's, then its bootstrap copies'), distance from the training windows."""

    frame_numbers: tuple[int, ...]
    logits: Floats
    #: 1 is the limit.
    distance: float


@dataclass(frozen=True, slots=True)
class Cases:
    """The most similar training cases: cosine similarity, and whether they were with pain."""

    similarity: tuple[float, ...]
    with_pain: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PainFindings:
    """All that one cine's windows say."""

    cine: Cine
    #: Windows in which no muscle was found; they count as unlike those trained on.
    without_muscle: int
    analysis: AnalysisUsed
    windows: tuple[Window, ...]
    encoder: ModelUsed
    classifier: ModelUsed

    def grade(self) -> Grade:
        """Of the cine; one that is graded C is not measured."""
        return grade_of(self._faults())

    def probability(self) -> float:
        """Of myofascial pain, from the mean logit over the windows."""
        return _probability(float(self._logits()[0]))

    def speaks_for_pain(self) -> bool:
        """Whether pain is at least as probable as none."""
        return self.probability() >= _EVEN

    def all(self, driving: Clip, drives: Floats, cases: Cases) -> tuple[Finding, ...]:
        """Probability, nearest cases, image quality. `drives` (squares, squares) is how much each square holds the score up."""
        return (self._probability_finding(driving, drives), self._cases(cases), self._image_quality())

    def unlike(self) -> Finding:
        """Of a cine that lies outside what was trained on."""
        distance = float(np.median([window.distance for window in self.windows]))
        if distance <= 1:
            why = f"in {self.without_muscle} of {self._all()} windows no muscle between two fasciae was found"
        else:
            why = f"{distance:.1f} times the distance that is allowed"
        return Finding(
            **self._common("not_measured"),
            kind=FindingKind.NOT_MEASURED,
            flags=(_UNLIKE, self.grade().flag),
            text=(
                "Not measured: the cine is unlike the upper trapezius cines that the network was trained on"
                f" ({why}): other anatomy, another way of scanning, or no contact."
            ),
            evidence=evidence_of(self.cine),
        )

    def _probability_finding(self, driving: Clip, drives: Floats) -> Finding:
        logits = self._logits()
        low, high = (_probability(float(limit)) for limit in np.quantile(logits[1:], [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]))
        value = self.probability()
        interval = Interval(low=min(low, value), high=max(high, value), level=_LEVEL)
        frames = tuple(dict.fromkeys(driving.frame_numbers))
        direction = "speak most for it" if self.speaks_for_pain() else "speak most against it"
        return Finding(
            **self._common(NAME),
            kind=FindingKind.MEASUREMENT,
            value=value,
            unit=_UNIT,
            probability=value,
            interval=interval,
            flags=(SIMULATION_TRAINED,),
            text=(
                f"Probability of myofascial pain {_stated(value, interval)}, {NOT_VALIDATED};"
                f" frames {frames[0]} to {frames[-1]} {direction}."
            ),
            evidence=evidence_of(self.cine, frames, lines=self._squares(driving, drives if self.speaks_for_pain() else -drives)),
            series=self._series(),
        )

    def _cases(self, cases: Cases) -> Finding:
        least, most = min(cases.similarity), max(cases.similarity)
        return Finding(
            **self._common("nearest_training_cases"),
            kind=FindingKind.QUALITY,
            value=most,
            unit=_UNIT,
            text=(
                f"Of the {len(cases.with_pain)} training cases most like this cine (cosine similarity {least:.2f} to {most:.2f}),"
                f" all {self.classifier.evidence}, {sum(cases.with_pain)} were with myofascial pain."
            ),
            evidence=evidence_of(self.cine),
        )

    def _image_quality(self) -> Finding:
        share = self._known_share()
        counted = f"Of {self._all()} windows, {self._known():.0f} show a muscle like those trained on."
        if self.without_muscle:
            counted += f" Windows without a muscle between two fasciae: {self.without_muscle}."
        faults = self._faults()
        return Finding(
            **self._common("image_quality"),
            kind=FindingKind.QUALITY,
            value=100 * share,
            unit="%",
            flags=(self.grade().flag, *(fault.reason for fault in faults)),
            text=counted + stated(faults),
            evidence=evidence_of(self.cine),
        )

    def _faults(self) -> tuple[Fault, ...]:
        """Grave where too few windows are like what the network was trained on; the others are measured all the same."""
        if self._known_share() < _SMALLEST_KNOWN_SHARE:
            return (Fault(reason=_UNLIKE, text="the cine is unlike what the network was trained on", is_grave=True),)
        unlike = any(window.distance > 1 for window in self.windows)
        found = {
            "windows_out_of_distribution": ("some windows are unlike what the network was trained on", unlike),
            "windows_without_muscle": ("in some windows no muscle between two fasciae was found", self.without_muscle > 0),
        }
        return tuple(Fault(reason=reason, text=text) for reason, (text, applies) in found.items() if applies)

    def _logits(self) -> Floats:
        """Mean over the windows, of the classifier and of each copy."""
        return np.asarray(np.mean([window.logits for window in self.windows], axis=0))

    def _known_share(self) -> float:
        return self._known() / self._all()

    def _known(self) -> float:
        """Windows that are like those trained on; one that is so in some of its strips counts in part."""
        strips = Counter(window.frame_numbers for window in self.windows)
        known = Counter(window.frame_numbers for window in self.windows if window.distance <= 1)
        return sum(known[numbers] / count for numbers, count in strips.items())

    def _all(self) -> int:
        return len({window.frame_numbers for window in self.windows}) + self.without_muscle

    def _series(self) -> Series:
        """Of each frame the probability by the mean logit of the windows that it lies in, at the ends of the nearest one."""
        frames = self.cine.number_of_frames
        total, count = np.zeros(frames + 1), np.zeros(frames + 1)
        for window in self.windows:
            between = slice(window.frame_numbers[0], window.frame_numbers[-1] + 1)
            total[between] += window.logits[0]
            count[between] += 1
        covered = np.flatnonzero(count)
        numbers = range(1, frames + 1)
        scores = np.interp(numbers, covered, total[covered] / count[covered])
        return Series(
            time_seconds=tuple(self.cine.time_axis.at(number) for number in numbers),
            values=tuple(round(_probability(score), 4) for score in scores.tolist()),
            unit=_UNIT,
        )

    def _squares(self, driving: Clip, drives: Floats) -> tuple[Polyline, ...]:
        """Outlines, on the window's middle frame, of the squares that matter most; none where none does."""
        strongest = float(drives.max())
        if strongest <= 0:
            return ()
        side = driving.strip.size / len(drives)
        frame = driving.frame_numbers[len(driving.frame_numbers) // 2]
        chosen = np.argwhere(drives >= _DRIVING_SHARE * strongest)
        outlines = (self._outline(driving.strip, row * side, column * side, side) for row, column in chosen)
        return tuple(Polyline(label=_DRIVES, frame=frame, points=outline) for outline in outlines)

    def _outline(self, strip: Strip, top: float, left: float, side: float) -> tuple[tuple[float, float], ...]:
        """A square of the straightened muscle, closed, as (column, row) of the stored frame: it bends with the fasciae."""
        x = np.linspace(left, left + side, _POINTS_A_SIDE) - 0.5
        y = np.array([top, top + side]) - 0.5
        above, below = (np.stack([x, np.full_like(x, row)], axis=-1) for row in y)
        around = np.concatenate([above, below[::-1], above[:1]])
        box = self.cine.region.box
        stored = strip.to_region(around) + np.array([box.x0, box.y0])
        return tuple((round(float(column), 2), round(float(row), 2)) for column, row in stored)

    def _common(self, name: str) -> dict[str, object]:
        model = self.encoder if name == "image_quality" else self.classifier
        return said_by(name, cine=self.cine, analysis=self.analysis, model=model, site=codes.TRAPEZIUS_MUSCLE)


def study_finding(findings: Sequence[Finding]) -> Finding | None:
    """The probability of all cines of a study together; None unless several were measured.

    Cines count alike: their logits are averaged, and so are the ends of their intervals, for what makes one cine's classifier
    uncertain makes all so.
    """
    measured = [finding for finding in findings if finding.name == NAME and finding.interval is not None]
    if len(measured) < _SEVERAL:
        return None
    value = _together([float(str(finding.value)) for finding in measured])
    limits = [finding.interval for finding in measured if finding.interval is not None]
    interval = Interval(
        low=_together([limit.low for limit in limits]), high=_together([limit.high for limit in limits]), level=limits[0].level
    )
    first, stated = measured[0], f"{_stated(value, interval)}, {NOT_VALIDATED}"
    sides = {finding.site.laterality for finding in measured if finding.site is not None}
    side = "bilateral" if {"left", "right"} <= sides else sides.pop() if len(sides) == 1 else None
    uids = [finding.evidence.sop_instance_uid for finding in measured]
    return first.model_copy(
        update={
            "finding_id": derive_uid(*uids, first.analysis.name, first.analysis.version, STUDY_NAME),
            "name": STUDY_NAME,
            "code": codes.FINDING_CODES[STUDY_NAME],
            "site": FindingSite(code=codes.TRAPEZIUS_MUSCLE, laterality=side),
            "value": value,
            "probability": value,
            "interval": interval,
            "text": f"Probability of myofascial pain, {len(measured)} cines together: {stated}.",
            "evidence": first.evidence.model_copy(update={"lines": (), "frames": (), "time_seconds": ()}),
            "series": None,
        }
    )


def _stated(value: float, interval: Interval) -> str:
    spread = wording.quantity_range(interval.low, interval.high, _UNIT)
    return f"{wording.number(value, _UNIT)} ({100 * interval.level:.0f} % {spread})"


def _probability(logit: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(logit, -30, 30))))


def _together(probabilities: Sequence[float]) -> float:
    clipped = np.clip(probabilities, 1e-9, 1 - 1e-9)
    return _probability(float(np.mean(np.log(clipped / (1 - clipped)))))
