"""The fifteen standard planes over all cines of a study: which were found, the best picture of each, and what is missing."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from service.core import codes
from service.core.findings import Finding, FindingKind, FindingSite
from service.core.identifiers import derive_uid
from service.core.measure.wrist_findings import PLANE_NAME
from service.core.quality import Grade, grade_in
from service.core.wrist_planes import PLANES, Plane

STUDY_NAME = "standard_planes_of_study"


@dataclass(frozen=True, slots=True)
class Tick:
    """One line of the checklist; `best` is the finding of the best picture, None where no cine shows the plane."""

    plane: Plane
    best: Finding | None = None

    @property
    def grade(self) -> Grade | None:
        """Of the best picture."""
        return None if self.best is None else grade_in(self.best.flags)


@dataclass(frozen=True, slots=True)
class Examination:
    """One hand; `site` says which, where the images do."""

    site: FindingSite | None
    #: All fifteen, in order.
    ticks: tuple[Tick, ...]

    @property
    def found(self) -> tuple[Finding, ...]:
        """The best picture of each plane that was found, in order."""
        return tuple(tick.best for tick in self.ticks if tick.best is not None)


def examinations(findings: Iterable[Finding]) -> tuple[Examination, ...]:
    """A hand each, in order of first appearance; of equally good pictures of a plane the surest, of those the first."""
    sides: dict[str | None, dict[str, Finding]] = {}
    sites: dict[str | None, FindingSite | None] = {}
    for finding in findings:
        if finding.name == PLANE_NAME and not finding.is_rejected:
            side, name = None if finding.site is None else finding.site.laterality, str(finding.value)
            best = sides.setdefault(side, {})
            sites.setdefault(side, finding.site)
            if name not in best or _rank(finding) < _rank(best[name]):
                best[name] = finding
    return tuple(
        Examination(sites[side], tuple(Tick(plane, best.get(plane.name)) for plane in PLANES)) for side, best in sides.items()
    )


def study_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Of each hand: how many of the planes were found, how good, and which are missing."""
    return tuple(_study_finding(one) for one in examinations(findings))


def _study_finding(examination: Examination) -> Finding:
    found, first = examination.found, examination.found[0]
    grades = Counter(tick.grade for tick in examination.ticks if tick.best is not None)
    counted = ", ".join(f"{grades[grade]} graded {grade}" for grade in Grade if grades[grade])
    missing = [tick.plane for tick in examination.ticks if tick.best is None]
    without = f" Missing: {', '.join(f'{plane.name} {plane.title}' for plane in missing)}." if missing else ""
    return first.model_copy(
        update={
            "finding_id": derive_uid(*(finding.finding_id for finding in found), STUDY_NAME),
            "name": STUDY_NAME,
            "kind": FindingKind.QUALITY,
            "code": codes.FINDING_CODES[STUDY_NAME],
            "value": 100 * len(found) / len(PLANES),
            "unit": "%",
            "probability": None,
            "amended_by": None,
            "amended": None,
            "flags": tuple(f"missing_{plane.name.lower()}" for plane in missing),
            "text": f"Of the {len(PLANES)} standard planes {len(found)} were found, {counted}.{without}",
            "evidence": first.evidence.model_copy(update={"lines": (), "frames": (), "time_seconds": ()}),
        }
    )


def _rank(finding: Finding) -> tuple[str, int, float]:
    return grade_in(finding.flags) or Grade.C, len(finding.flags), -(finding.probability or 0.0)
