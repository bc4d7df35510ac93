"""What follows from numbers that a person amended, so that no two of them contradict: of muscle architecture by geometry."""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from service.core.amendment import as_said, is_plausible, resting, with_value
from service.core.derived_units import follow_units
from service.core.drawn import ANALYSIS, DrawnLines, drawn_on, evidence_in, is_of_cine, measure_between
from service.core.findings import Finding
from service.core.measure.architecture import THICKNESS_AT
from service.core.measure.checks import length_between

_THICKNESS, _LENGTH, _PENNATION = "thickness", "fascicle_length", "pennation_angle"
_FASCICLE, _SUPERFICIAL, _DEEP = "fascicle_angle", "superficial_aponeurosis_angle", "deep_aponeurosis_angle"
_GAPS = tuple(f"thickness_at_{round(100 * share)}_percent" for share in THICKNESS_AT)
_MIDDLE = _GAPS[len(_GAPS) // 2]
#: What was read from the numbers on the left, or from the frames that gave them.
_RESTING_ON: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_GAPS, (_THICKNESS,)),
    _THICKNESS: (_LENGTH, "thickness_excursion"),
    _PENNATION: (_LENGTH, "pennation_excursion", "contraction_count"),
    _FASCICLE: (_PENNATION,),
    _SUPERFICIAL: (_LENGTH,),
    _DEEP: (_PENNATION, _LENGTH),
    _LENGTH: ("fascicle_extrapolated_share", "fascicle_excursion", "shortening_velocity"),
}
#: What had given the number on the left, and no longer does when a person sets it.
_GIVING: Mapping[str, tuple[str, ...]] = {_THICKNESS: _GAPS, _PENNATION: (_FASCICLE,)}
#: What drawn lines must tell for the fascicles to be measured between them.
_OF_LINES = (_THICKNESS, _SUPERFICIAL, _DEEP)


def follow(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """`findings` with each that follows from amended ones computed anew, or flagged where it cannot be. Idempotent.

    Of one cine: the thickness is the mean of its three places; the pennation lies between fascicles and deep aponeurosis; the
    fascicle length is the software's, made longer or shorter as a straight one between straight aponeuroses becomes, or that
    between the lines that a person drew. Raises InputRejected.
    """
    made = list(findings)
    for uid in dict.fromkeys(one.evidence.sop_instance_uid for one in findings if one.analysis.name == ANALYSIS):
        places = [place for place, finding in enumerate(findings) if is_of_cine(finding, uid)]
        for place, finding in zip(places, _Cine([findings[place] for place in places]).followed(), strict=True):
            made[place] = finding
    return follow_units(made)


class _Cine:
    """The measurements of one cine by their names; what was computed before is taken back first."""

    def __init__(self, members: Sequence[Finding]) -> None:
        self._before = members
        self._now = {one.name: resting(as_said(one) if one.is_computed else one, is_resting=False) for one in members}
        #: Names of what persons amended, whose numbers stand whatever follows.
        self._theirs = frozenset(name for name, one in self._now.items() if one.amended is not None)
        self._computed: set[str] = set()

    def followed(self) -> Iterator[Finding]:
        """In the order in which they came."""
        if self._theirs:
            self._follow_gaps()
            lines = self._lines()
            if lines is None:
                self._follow_angles()
                self._follow_length()
            else:
                self._follow_lines(lines)
            self._flag_the_rest()
        return (_kept(before, self._now[before.name]) for before in self._before)

    def _follow_gaps(self) -> None:
        gaps = [value for value in map(self._value, _GAPS) if value is not None]
        if self._theirs & set(_GAPS) and len(gaps) == len(_GAPS):
            self._compute(_THICKNESS, statistics.fmean(gaps))

    def _lines(self) -> DrawnLines | None:
        """As a person drew them, unless another number was set for what they tell."""
        drawn = [one.amended is not None and one.amended.method == "drawn" for one in map(self._now.get, _OF_LINES) if one]
        return drawn_on(self._before) if all(drawn) and _PENNATION not in self._theirs else None

    def _follow_lines(self, lines: DrawnLines) -> None:
        """All fascicles are those of the drawn frame, for those of the whole cine ran between other lines."""
        frame = measure_between(list(self._now.values()), lines)
        self._compute(_FASCICLE, frame.fascicle_angle_deg, lines)
        self._compute(_PENNATION, frame.pennation_deg, lines)
        self._compute(_LENGTH, frame.fascicle_length, lines)

    def _follow_angles(self) -> None:
        """Of pennation, fascicles and deep aponeurosis two give the third."""
        pennation, fascicle, deep = map(self._value, (_PENNATION, _FASCICLE, _DEEP))
        if _PENNATION not in self._theirs:
            if fascicle is not None and deep is not None and self._theirs & {_FASCICLE, _DEEP}:
                self._compute(_PENNATION, abs(fascicle - deep))
        elif pennation is not None and _FASCICLE not in self._theirs and deep is not None:
            self._compute(_FASCICLE, deep + self._sense() * pennation)
        elif pennation is not None and fascicle is not None and _DEEP not in self._theirs:
            self._compute(_DEEP, fascicle - self._sense() * pennation)

    def _sense(self) -> float:
        """1 where the software saw the fascicles rise to the right of the deep aponeurosis, else -1."""
        return math.copysign(1.0, (self._said(_FASCICLE) or 0.0) - (self._said(_DEEP) or 0.0))

    def _follow_length(self) -> None:
        changed = self._theirs | self._computed
        if not changed & {_THICKNESS, _PENNATION, _FASCICLE, _SUPERFICIAL, _DEEP, *_GAPS}:
            return
        is_whole = self._is_by(_THICKNESS, "typed") or (_THICKNESS in changed and _MIDDLE not in changed)
        gap = _THICKNESS if is_whole or _MIDDLE not in self._now else _MIDDLE
        between = self._straight_length(gap, self._value)
        # A thickness or a pennation that was rejected leaves no length, though the numbers beside it would give one.
        if between is None or self._is_rejected(_THICKNESS, _PENNATION):
            return
        if any(self._is_by(name, "drawn") for name in _OF_LINES):
            self._compute(_LENGTH, between)  # of the drawn frame, to which the cine's length says nothing
            return
        measured, as_read = self._said(_LENGTH), self._straight_length(gap, self._as_read)
        if measured is not None and as_read is not None and math.isfinite(as_read):
            self._compute(_LENGTH, measured * between / as_read)

    def _as_read(self, name: str) -> float | None:
        """By the software: its median, or what its pennation gives for an angle that is computed from a pennation now."""
        others = {_FASCICLE: (_DEEP, 1), _DEEP: (_FASCICLE, -1)}
        if name not in self._computed or name not in others:
            return self._said(name)
        other, sign = others[name]
        angle, pennation = self._said(other), self._said(_PENNATION)
        return None if angle is None or pennation is None else angle + sign * self._sense() * pennation

    def _straight_length(self, gap: str, read: Callable[[str], float | None]) -> float | None:
        """Of a straight fascicle by a gap and the three angles, as `read` tells them; None where one is missing."""
        width, fascicle, superficial, deep = map(read, (gap, _FASCICLE, _SUPERFICIAL, _DEEP))
        if width is None or fascicle is None or superficial is None or deep is None:
            return None
        return length_between(width, fascicle_deg=fascicle, superficial_deg=superficial, deep_deg=deep)

    def _flag_the_rest(self) -> None:
        changed = self._theirs | self._computed
        waiting = list(changed)
        found = {name for one in self._theirs for name in _GIVING.get(one, ())}
        found |= {"echo_intensity"} if any(self._is_by(name, "drawn") for name in _OF_LINES) else set()
        while waiting:
            more = set(_RESTING_ON.get(waiting.pop(), ())) - found - changed
            found |= more
            waiting.extend(more)
        for name in sorted((found - changed) & set(self._now)):
            self._now[name] = resting(self._now[name], is_resting=True)

    def _value(self, name: str) -> float | None:
        finding = self._now.get(name)
        return finding.value if finding is not None and isinstance(finding.value, float) else None

    def _said(self, name: str) -> float | None:
        """As the software measured it."""
        value = as_said(self._now[name]).value if name in self._now else None
        return value if isinstance(value, float) else None

    def _is_rejected(self, *names: str) -> bool:
        return any(self._now[name].is_rejected for name in names if name in self._now)

    def _is_by(self, name: str, method: str) -> bool:
        finding = self._now.get(name)
        return finding is not None and finding.amended is not None and finding.amended.method == method

    def _compute(self, name: str, value: float | None, lines: DrawnLines | None = None) -> None:
        """Put a number into a finding that is the software's; one that cannot be is left out."""
        finding = self._now.get(name)
        if finding is None or name in self._theirs or finding.value is None or value is None or not is_plausible(finding, value):
            return
        last = max((one.amended for one in self._now.values() if one.amended is not None), key=lambda amended: amended.at)
        evidence = finding.evidence if lines is None else evidence_in(finding, lines)
        amendment = last.model_copy(update={"method": "computed", "is_rejected": False})
        self._now[name] = with_value(finding, value, amendment, evidence)
        self._computed.add(name)


def _kept(before: Finding, now: Finding) -> Finding:
    """What comes to the same number stays as it was, with whoever accepted it."""
    if now.finding_id != before.finding_id:
        return before
    is_same = before.is_computed and now.is_computed and before.value == now.value
    return before if is_same and before.evidence == now.evidence else now
