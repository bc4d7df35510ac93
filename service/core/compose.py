"""Findings of one study become a report: impression, limitations and provenance. Pure and deterministic."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from service.core.codes import SKELETAL_MUSCLE
from service.core.finding_identity import OF_ALL_CINES, gone_since, kept_since
from service.core.findings import Finding, FindingKind, ModelUsed
from service.core.identifiers import ReportID
from service.core.measure import pain_findings, wrist_study
from service.core.measure.motor_band import COUNT_NAME, UNITS_FROM_SIMULATION
from service.core.measure.pain_findings import NOT_VALIDATED, SIMULATION_TRAINED
from service.core.measure.state_findings import ABOVE_STRONGEST, LEVEL_CAN_BE_OFF, RELATIVE_ONLY, SIMULATED_PEOPLE
from service.core.measure.wrist_findings import PLANE_NAME, UNCERTAIN_NERVE
from service.core.quality import Grade, grade_in
from service.core.report import Comparison, Provenance, Report, ReportStatus, StudyHeader
from service.core.wording import comparisons_in_short, frames_measured, label, quantity, quantity_range, site_text, title_of

#: What the impression names, in this order; an analysis that is not listed names every measurement.
_HEADLINES = {
    "muscle_architecture": ("thickness", "pennation_angle", "fascicle_length"),
    "muscle_state": tuple(
        name + relative
        for relative in ("", "_relative")
        for name in ("joint_angle", "activity_gastrocnemius", "activity_soleus", "joint_moment")
    ),
    "motor_units": (COUNT_NAME,),
}

#: Flags of measurements that a reader must know of in words.
_FLAG_SENTENCES = {
    "square_pixels_assumed": "Angles assume square pixels, for the image carries no scale.",
    "interval_from_simulation": "Intervals come from simulated pictures; real ones can be further off than they say.",
    SIMULATION_TRAINED: f"The probability of myofascial pain is {NOT_VALIDATED}: it says nothing about this patient.",
    SIMULATED_PEOPLE: f"Angle, activity and moment are {NOT_VALIDATED}: they say nothing about this patient.",
    RELATIVE_ONLY: "Muscle states are relative, for the image carries no scale: they rise and fall, but have no value.",
    # Measured by training.muscle_state.signs_of_error with the weights of version 1.
    LEVEL_CAN_BE_OFF: (
        "The level of a whole cine can be off: of 127 simulated people, the angle's median error was above 10° in 38"
        " and the moment's above 30 N m in 26."
    ),
    ABOVE_STRONGEST: "Activity can exceed 100 %: electrodes of simulated people show up to 150 % of the strongest contraction.",
    UNCERTAIN_NERVE: "The median nerve's outline is uncertain: its area was right to a tenth in five of six simulated hands.",
    # Areas measured by training.motor_units.cines with the weights of version 1.
    UNITS_FROM_SIMULATION: (
        "Motor units are found by networks that learnt from simulated muscles, in velocity estimated from B-mode;"
        " neither is validated in people. Territories of simulated muscles were drawn 14 % too large in the median;"
        " the height of a mean twitch is that of the whole territory between 3 and 30 Hz, less than in its middle."
        " In cines above 4.1 s a unit that shows in one stretch of 2.05 s alone is left out; of 128 told in simulated ones"
        " 5 were none. Rates leave out intervals over stretches in which a unit was not found."
    ),
    "rests_on_amended": "Values that rest on amended ones are the software's, from before that.",
    "mostly_extrapolated": "Fascicle lengths rest mostly on continuing the fascicles beyond what is seen.",
}


#: Numbers with one of these flags never stand in an impression without the sentence below.
_LEARNT_FROM_SIMULATION = frozenset({SIMULATED_PEOPLE, UNITS_FROM_SIMULATION})
_LEARNT = "Learnt from simulated pictures only, not validated in people."


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """What composed the report."""

    service_version: str
    configuration_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """What a report is without."""

    #: Sentences about analyses that ended without findings.
    failures: Sequence[str] = ()
    #: For each stored instance that no analysis was selected for, the clause that says why.
    left_out: Sequence[str] = ()
    #: Sentences about what persons had amended and the new findings do not hold any more.
    dropped: Sequence[str] = ()
    #: The study's instances disagree about the patient or the order, so nothing was compared.
    identity_hold: bool = False


#: Stands among the limitations of a report whose cines were not taken together either.
HELD = "When this report was made, the instances of this study disagreed about the patient or the order: nothing was compared."


def compose(
    *,
    report_id: ReportID,
    study: StudyHeader,
    findings: Sequence[Finding],
    comparisons: Sequence[Comparison] = (),
    gaps: Gaps = Gaps(),
    previous: Report | None = None,
    created_at: datetime,
    software: Software,
) -> Report:
    """The next version of a study's report, which takes the place of `previous`.

    `findings` come in the order in which the instances arrived, `comparisons` in the order of `compare`.
    Equal arguments give an equal report.
    """
    findings = [*findings, *(() if gaps.identity_hold else together(findings))]
    gone = (*gaps.failures, *gaps.dropped, *((HELD,) if gaps.identity_hold else ()))
    return Report(
        report_id=report_id,
        version=1 if previous is None else previous.version + 1,
        study=study,
        created_at=created_at,
        **following(previous, findings),
        impression=impression_of(findings, comparisons),
        limitations=tuple(dict.fromkeys((*gone, *limitations_of(findings), *_left_out(gaps.left_out)))),
        findings=tuple(findings),
        comparisons=tuple(comparisons),
        provenance=provenance_of(findings, software),
    )


def following(previous: Report | None, findings: Sequence[Finding]) -> dict[str, Any]:
    """What a version of these findings says of the one whose place it takes.

    What comes after a withdrawn one is another report: the withdrawn one stays withdrawn, wherever it was sent.
    """
    if previous is None:
        return {}
    told = {
        "predecessor": previous.report_id,
        "predecessor_version": previous.version,
        "predecessor_status": previous.status,
    }
    if previous.status is ReportStatus.CANCELLED:
        return {**told, "first_report_id": None, "gone": (), "kept": ()}
    since = {"gone": gone_since(previous, findings), "kept": kept_since(previous, findings)}
    return {**told, "first_report_id": previous.lineage, **since}


def provenance_of(findings: Sequence[Finding], software: Software) -> Provenance:
    """What made the findings, and what puts them together."""
    return Provenance(
        service_version=software.service_version,
        configuration_sha256=software.configuration_sha256,
        models=_models(findings),
    )


@dataclass(frozen=True, slots=True)
class AnalysedCine:
    """The findings that one analysis made of one instance; `number` counts the instances of the report from 1."""

    number: int
    sop_instance_uid: str
    analysis_name: str
    findings: tuple[Finding, ...]


def analysed_cines(findings: Iterable[Finding]) -> tuple[AnalysedCine, ...]:
    """Findings grouped by instance and analysis, in order of first appearance."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        if finding.name in OF_ALL_CINES:
            continue
        groups.setdefault((finding.evidence.sop_instance_uid, finding.analysis.name), []).append(finding)
    numbers = {uid: number for number, uid in enumerate(dict.fromkeys(uid for uid, _ in groups), start=1)}
    return tuple(AnalysedCine(numbers[uid], uid, name, tuple(members)) for (uid, name), members in groups.items())


def of_all_cines(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """What several cines of the study say together, which belongs to none of them."""
    return tuple(finding for finding in findings if finding.name in OF_ALL_CINES)


def together(findings: Sequence[Finding]) -> Iterator[Finding]:
    """What the findings of single cines say together."""
    pain = pain_findings.study_finding(findings)
    if pain is not None:
        yield pain
    yield from wrist_study.study_findings(findings)


def impression_of(findings: Sequence[Finding], comparisons: Sequence[Comparison]) -> str:
    """The report in short, a line a cine; what was compared last."""
    return "\n".join(filter(None, (_measured_in_short(findings), comparisons_in_short(comparisons))))


def _measured_in_short(findings: Sequence[Finding]) -> str:
    cines = analysed_cines(findings)
    if not cines:
        return "Nothing was measured: no instance of this study could be analysed."
    several = len({cine.number for cine in cines}) > 1
    of_all = [_of_all(finding, several=several) for finding in of_all_cines(findings)]
    names_planes = several or not any(finding.name == wrist_study.STUDY_NAME for finding in findings)
    sentences = (_prefix(cine, several=several) + _sentence(cine, names_planes=names_planes) for cine in cines)
    return "\n".join((*of_all, *filter(None, sentences)))


def _prefix(cine: AnalysedCine, *, several: bool) -> str:
    return f"Cine {cine.number}: " if several else ""


def _sentence(cine: AnalysedCine, *, names_planes: bool) -> str:
    subject = ", ".join(filter(None, (label(cine.analysis_name), _site(cine))))
    measured = _headlines(cine)
    stated = [
        _planes(cine) if names_planes else "",
        *(finding.text for finding in cine.findings if _is_class(finding) and finding.name != PLANE_NAME),
    ]
    if not measured and not any(stated) and _planes(cine):
        return ""  # the study's checklist says it all
    if not measured and not any(stated) and (rejected := _rejected_by(cine)):
        return f"{subject}: not measured. What the software had measured was rejected by {rejected}."
    if not measured and not any(stated):
        reasons = [finding.text for finding in cine.findings if finding.kind is FindingKind.NOT_MEASURED]
        return f"{subject}: not measured. {_reason(reasons[0])}" if reasons else f"{subject}: not measured."
    values = "; ".join(_headline(finding) for finding in measured)
    told = [f"{subject}: {values}." if values else f"{subject}:", _basis(measured), _worth(measured), *stated]
    return " ".join(filter(None, told))


def _rejected_by(cine: AnalysedCine) -> str:
    return ", ".join(dict.fromkeys(finding.amended_by or "" for finding in cine.findings if finding.is_rejected))


def _planes(cine: AnalysedCine) -> str:
    """`Standard planes S1 (A), S2 (B).` of a cine that shows some."""
    planes = (finding for finding in cine.findings if finding.name == PLANE_NAME and not finding.is_rejected)
    shown = [f"{finding.value} ({grade_in(finding.flags)})" for finding in planes]
    return f"Standard plane{'s' if len(shown) > 1 else ''} {', '.join(shown)}." if shown else ""


def _is_class(finding: Finding) -> bool:
    return finding.kind is FindingKind.CLASSIFICATION and not finding.is_rejected


def _of_all(finding: Finding, *, several: bool) -> str:
    subject = ", ".join(filter(None, (label(finding.analysis.name), site_text(finding.site))))
    stated = f"{_headline(finding)}." if is_measured(finding) else finding.text
    return f"All cines together: {subject}: {stated}" if several else f"{subject}: {stated}"


def _reason(text: str) -> str:
    reason = text.removeprefix("Not measured: ")
    return reason[:1].upper() + reason[1:]


def _site(cine: AnalysedCine) -> str:
    site = next((finding.site for finding in cine.findings if finding.site is not None), None)
    if site is not None and site.code == SKELETAL_MUSCLE:  # says nothing beside the name of the analysis
        site = site.model_copy(update={"code": None})
    return site_text(site)


def _headlines(cine: AnalysedCine) -> list[Finding]:
    measured = [finding for finding in cine.findings if is_measured(finding)]
    wanted = _HEADLINES.get(cine.analysis_name)
    if wanted is None:
        return measured
    return sorted((finding for finding in measured if finding.name in wanted), key=lambda finding: wanted.index(finding.name))


def is_row(finding: Finding) -> bool:
    """True for what a table of measurements lists; standard planes have a table of their own."""
    return is_measured(finding) or (_is_class(finding) and finding.value is not None and finding.name != PLANE_NAME)


def is_measured(finding: Finding) -> bool:
    """True for a measurement that has a number."""
    return finding.kind is FindingKind.MEASUREMENT and isinstance(finding.value, float)


def _headline(finding: Finding) -> str:
    value = finding.value
    text = quantity(value, finding.unit) if isinstance(value, float) else str(value)
    spread = f" ({quantity_range(*finding.range, finding.unit)})" if finding.range else ""
    worth = f" ({NOT_VALIDATED})" if SIMULATION_TRAINED in finding.flags else ""
    whose = " (amended)" if finding.amended else ""
    return f"{label(finding.name).lower()} {text}{spread}{worth}{whose}"


def _basis(measured: Sequence[Finding]) -> str:
    """What the software's numbers summarise, when all say the same statistic: `Median over 58 of 60 frames (range)`."""
    measured = [finding for finding in measured if finding.amended is None]
    counts = [count for count in map(frames_measured, measured) if count is not None]
    statistics = {finding.statistic for finding in measured}
    if not counts or len(statistics) != 1 or None in statistics:
        return ""
    fewest, most = min(done for done, _ in counts), max(done for done, _ in counts)
    done = str(most) if fewest == most else f"{fewest} to {most}"
    spread = " (with range)" if any(finding.range for finding in measured) else ""
    return f"{label(str(statistics.pop()))}{spread} over {done} of {counts[0][1]} frames."


def _worth(measured: Sequence[Finding]) -> str:
    """What networks that saw nobody say is told to be so; what a person has set is that person's word."""
    flags = {flag for finding in measured if finding.amended is None or finding.is_computed for flag in finding.flags}
    return _LEARNT if flags & _LEARNT_FROM_SIMULATION else ""


def limitations_of(findings: Sequence[Finding]) -> list[str]:
    """What limits the findings, cine by cine, and the models behind them."""
    cines = analysed_cines(findings)
    several = len({cine.number for cine in cines}) > 1
    stated = [_prefix(cine, several=several) + sentence for cine in cines for sentence in _cine_limitations(cine)]
    return [*stated, *(_model_limitation(model) for model in _models(findings) if model.evidence == "simulated")]


def _left_out(reasons: Sequence[str]) -> list[str]:
    """One sentence a reason, in order of first appearance."""
    return [
        f"{count} stored {'instance was' if count == 1 else 'instances were'} not analysed because {reason}."
        for reason, count in Counter(reasons).items()
    ]


def _cine_limitations(cine: AnalysedCine) -> list[str]:
    cine = replace(cine, findings=tuple(finding for finding in cine.findings if not finding.is_rejected))
    not_measured = [finding.text for finding in cine.findings if finding.kind is FindingKind.NOT_MEASURED]
    quality = [finding.text for finding in cine.findings if _is_doubted_quality(finding)]
    flags = dict.fromkeys(flag for finding in cine.findings for flag in finding.flags)
    flagged = [_FLAG_SENTENCES[flag] for flag in flags if flag in _FLAG_SENTENCES]
    return [*not_measured, *_calibration(cine), *quality, *_missing_frames(cine), *flagged, *_time(cine)]


def _is_doubted_quality(finding: Finding) -> bool:
    return finding.kind is FindingKind.QUALITY and bool(set(finding.flags) - {Grade.A.flag})


def _calibration(cine: AnalysedCine) -> list[str]:
    calibrations = (finding.evidence.calibration for finding in cine.findings if is_measured(finding))
    reasons = dict.fromkeys(used.reason for used in calibrations if used and used.mm_per_pixel_x is None and used.reason)
    return [f"Lengths are in pixels, not millimetres: {_clause(reason)}" for reason in reasons]


def _clause(reason: str) -> str:
    return reason if reason.endswith(".") else f"{reason}."


def _missing_frames(cine: AnalysedCine) -> list[str]:
    """One sentence for all measurements that miss the same number of frames, unless the quality finding has counted them."""
    counted = [
        1 - finding.value / 100
        for finding in cine.findings
        if _is_doubted_quality(finding) and isinstance(finding.value, float) and finding.unit == "%"
    ]
    missing: dict[tuple[int, int], list[str]] = {}
    for finding in cine.findings:
        if not is_measured(finding) or finding.amended is not None:
            continue
        done, total = frames_measured(finding) or (0, 0)
        if done < total and not any(math.isclose(share, 1 - done / total) for share in counted):
            missing.setdefault((total - done, total), []).append(title_of(finding).lower())
    return [
        f"{absent} of {total} frames could not be measured for {', '.join(names)}." for (absent, total), names in missing.items()
    ]


def _time(cine: AnalysedCine) -> list[str]:
    series = [finding.series for finding in cine.findings if finding.series is not None and len(finding.series.values) > 1]
    if series and all(time is None for one in series for time in one.time_seconds):
        return ["The cine carries no time axis; series are by frame number."]
    return []


def _models(findings: Iterable[Finding]) -> tuple[ModelUsed, ...]:
    used = {finding.model for finding in findings if finding.model is not None}
    return tuple(sorted(used, key=lambda model: (model.name, model.version, model.sha256, str(model.runtime))))


def _model_limitation(model: ModelUsed) -> str:
    return f"The accuracy of {model.name} version {model.version} is known on simulated images only."
