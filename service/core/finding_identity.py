"""When a finding of one version of a report is the same as one of another version, so that receivers keep one of it.

It is the same thing said of the same cine (or of the study) by the same analysis, whatever number, version or person says it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

from service.core.findings import Finding, FindingKind
from service.core.measure import pain_findings, wrist_study
from service.core.report import Gone, Report

#: Findings that rest on several cines.
OF_ALL_CINES = frozenset({pain_findings.STUDY_NAME, wrist_study.STUDY_NAME})
_DIGITS = 20
_GONE = "An earlier version of this report said this; it is not said any more."
_VALUES = ("value", "interval", "probability", "reference_range", "statistic", "range", "series", "amended_by", "amended")
_NOTHING_LEFT = {**dict.fromkeys(_VALUES), **dict.fromkeys(("flags", "contractions", "shown_frames"), ()), "text": _GONE}


def identities(findings: Sequence[Finding]) -> list[str]:
    """Of each finding, in order: hexadecimal digits that the same finding has in each version; no two of a report are alike."""
    seen: Counter[tuple[str, ...]] = Counter()
    found = []
    for finding in findings:
        key = _key(finding)
        found.append(_digest((*key, str(seen[key])) if seen[key] else key))
        seen[key] += 1
    return found


def gone_since(previous: Report, findings: Sequence[Finding]) -> tuple[Gone, ...]:
    """What `previous`, or a version before it, said and `findings` do not say, without values."""
    now = frozenset(identities(findings))
    said = [Gone(identity=one, finding=_emptied(finding)) for one, finding in _named(previous.findings)]
    return tuple(one for one in (*previous.gone, *said) if one.identity not in now)


def kept_since(previous: Report, findings: Sequence[Finding]) -> tuple[str, ...]:
    """Which `findings` are those of a first signature still; none where `previous` is not signed."""
    if not previous.is_signed:
        return ()
    said = dict(_named(previous.findings))
    first = previous.kept if previous.replaces_signed else said
    return tuple(one for one, finding in _named(findings) if one in first and said.get(one) == finding)


def _named(findings: Sequence[Finding]) -> Iterable[tuple[str, Finding]]:
    return zip(identities(findings), findings, strict=True)


def _emptied(finding: Finding) -> Finding:
    evidence = finding.evidence.model_copy(update={"frames": (), "time_seconds": (), "lines": ()})
    return finding.model_copy(update={**_NOTHING_LEFT, "evidence": evidence})


def _key(finding: Finding) -> tuple[str, ...]:
    """A plane of a wrist is named by what the software saw, and a quantity without a number by its reason's finding."""
    if finding.name in OF_ALL_CINES:
        side = finding.site.laterality if finding.site else None
        # The side of what all cines say of a patient follows from the cines, so it is no part of which finding it is.
        return (finding.analysis.name, finding.name, *((side,) if side and finding.name == wrist_study.STUDY_NAME else ()))
    parts = (finding.analysis.name, finding.name, finding.evidence.sop_instance_uid)
    match finding.kind:
        case FindingKind.CLASSIFICATION:
            said = finding.value if finding.amended is None else finding.amended.original.value
            return (*parts, str(said))
        case FindingKind.NOT_MEASURED:
            return (*parts, finding.finding_id)
        case _:
            return parts


def _digest(key: Iterable[str]) -> str:
    return hashlib.sha256("\x1f".join(key).encode()).hexdigest()[:_DIGITS]
