"""Reports of every kind, in what the analyses themselves say; for tests of how all that a report can say is shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from service.core.amendment import SetValue, amend_finding
from service.core.analyses.analysis import Analysis
from service.core.analyses.muscle_architecture import MuscleArchitecture
from service.core.analyses.myofascial_pain import MyofascialPain
from service.core.carry_over import carry_over, with_words
from service.core.cine import Calibration, Frame
from service.core.codes import SOLEUS
from service.core.comparison import EarlierReport, compare
from service.core.compose import Gaps
from service.core.evidence import not_measured
from service.core.findings import Finding, FindingKind, Interval
from service.core.report import Report, ReportStatus
from service.core.wording import comparisons_in_short
from service.errors import InputRejected, NotMeasurable, SonomyoError
from simulator.wrist import Kind, draw_volunteer
from tests import calf_parts, motor_parts, reviewed_report, trapezius_parts, wrist_parts
from tests.analysed_contraction import contraction_findings
from tests.calf_report import CREATED_AT, MODEL, calf_report, cine_findings, header
from tests.compared_findings import earlier_report, measured
from tests.phantoms import CALIBRATED, Masks, Muscle, cine_of, described, scripted

NO_SCALE = Calibration(None, None, "none", "there is no SequenceOfUltrasoundRegions; PixelSpacing is not trusted for ultrasound")
_NOTHING: Masks = np.zeros((3, 256, 256), np.uint8)


def _calf() -> Report:
    return calf_report()


def _contraction() -> Report:
    return calf_report(findings=contraction_findings())


def _muscle(
    muscles: Sequence[Muscle], answers: Sequence[Masks], *, scale: Calibration | None = None, frame_seconds: float | None = 0.04
) -> list[Finding]:
    cine = cine_of(
        [muscle.draw()[0] for muscle in muscles], scale or Calibration(0.1, 0.1, CALIBRATED), frame_seconds=frame_seconds
    )
    return list(MuscleArchitecture().analyse(cine, scripted(answers), described))


def _without_scale_or_time() -> Report:
    lean = [Muscle(fascicle_angle_deg=angle, deep_angle_deg=0.0) for angle in (14.0, 17.0, 20.0, 23.0, 26.0)]
    return calf_report(findings=_muscle(lean, [one.answer() for one in lean], scale=NO_SCALE, frame_seconds=None))


def _poor_muscle() -> Report:
    whole = Muscle().answer()
    lines = np.stack([whole[0], np.zeros_like(whole[1]), whole[2]])
    some = _muscle([Muscle()] * 6, [whole, lines, _NOTHING, whole, lines, whole])
    rest = _muscle([Muscle()] * 20, [whole] * 20)
    return calf_report(findings=[*some, *(_moved(one, "2.25.2") for one in rest)])


def _no_muscle() -> Report:
    whole = Muscle().answer()
    lines = np.stack([whole[0], np.zeros_like(whole[1]), whole[2]])
    hollow = np.stack([whole[0], whole[1], np.zeros_like(whole[2])])
    answers = ([_NOTHING] * 2, [lines] * 2, [hollow] * 2, [whole, *[_NOTHING] * 11])
    return calf_report(
        findings=[
            _moved(one, f"2.25.{number}")
            for number, several in enumerate(answers)
            for one in _muscle([Muscle()] * len(several), several)
        ]
    )


def _wrist() -> Report:
    volunteer = draw_volunteer(11)
    shown = wrist_parts.pictures(volunteer, *wrist_parts.well("S11", 5), *wrist_parts.well("S2", 6))
    badly: list[tuple[Kind, str]] = [("badly", plane) for plane in ("S1", "S5", "S9", "S13")] * 2
    poor = wrist_parts.pictures(volunteer, *badly)
    one, two = (wrist_parts.analyse(cine, sop_instance_uid=uid) for cine, uid in ((shown, "2.25.1"), (poor, "2.25.2")))
    return calf_report(findings=[*one, *two])


def _no_wrist() -> Report:
    elsewhere = wrist_parts.pictures(draw_volunteer(11), ("elsewhere", "S1"), ("elsewhere", "S1"))
    return calf_report(findings=wrist_parts.analyse(elsewhere))


def _pain() -> Report:
    for_it = trapezius_parts.analyse(trapezius_parts.spot_cine("2.25.1"), trapezius_parts.networks(offset=5.0))
    against = trapezius_parts.analyse(trapezius_parts.spot_cine("2.25.2", side="right"), trapezius_parts.networks(offset=-5.0))
    return calf_report(findings=[*for_it.values(), *against.values()])


def _partly_unlike_pain() -> Report:
    noise = np.random.default_rng(0).integers(10, 90, (64, 64), dtype=np.uint8)
    cine = trapezius_parts.spot_cine("2.25.1")
    scanned = list(cine.frames())
    lifted = replace(cine, frames=lambda: iter([*(Frame(number, noise) for number in range(1, 17)), *scanned[16:]]))
    gone = replace(cine, frames=lambda: iter([*scanned[:6], *(Frame(number, noise) for number in range(7, 41))]))
    findings = [trapezius_parts.analyse(one, trapezius_parts.networks()) for one in (lifted, gone)]
    unlike = trapezius_parts.analyse(trapezius_parts.spot_cine("2.25.3"), trapezius_parts.networks(distance=3.0))
    return calf_report(findings=[_moved(one, f"2.25.{n}") for n, each in enumerate((*findings, unlike)) for one in each.values()])


def _states() -> Report:
    whole = calf_parts.analyse(calf_parts.scanned(), uid="2.25.1")
    some = calf_parts.analyse(calf_parts.scanned(), uid="2.25.2", blind=range(1, 11))
    relative = calf_parts.analyse(calf_parts.scanned(), uid="2.25.3", is_calibrated=False, has_time=False)
    return calf_report(findings=[*whole.values(), *some.values(), *relative.values()])


def _no_states() -> Report:
    of = calf_parts.scanned()
    shallow = calf_parts.analyse(calf_parts.without_soleus(of), uid="2.25.1")
    hardly = calf_parts.analyse(of, uid="2.25.2", blind=range(1, 28))
    larger = replace(of, mm_per_pixel=2.5 * of.mm_per_pixel)
    return calf_report(findings=[*shallow.values(), *hardly.values(), *calf_parts.analyse(larger, uid="2.25.3").values()])


def _motor_units() -> Report:
    return calf_report(findings=motor_parts.analyse(motor_parts.motor_cine("2.25.1")))


def motor_unit_missed_for_a_while() -> Report:
    """The second of three was not found in half of the frames."""
    findings = motor_parts.analyse(motor_parts.motor_cine("2.25.1"))
    second = [finding for finding in findings if finding.motor_unit][1]
    assert second.series is not None
    values = second.series.values
    half = second.series.model_copy(update={"values": (*values[: len(values) // 2], *[None] * (len(values) - len(values) // 2))})
    return calf_report(findings=[one.model_copy(update={"series": half}) if one is second else one for one in findings])


def _motor_units_left() -> Report:
    """One of three was rejected."""
    return _judged_unit({"action": "reject"})


def _motor_unit_with_a_set_rate() -> Report:
    return _judged_unit({"action": "set", "value": 20.5})


def _judged_unit(change: Mapping[str, object]) -> Report:
    report = _motor_units()
    second = [finding.finding_id for finding in report.findings if finding.motor_unit][1]
    return reviewed_report.amended(report, why=WHY, findings=[{**change, "finding_id": second}])


def _no_motor_unit() -> Report:
    return calf_report(findings=motor_parts.analyse(motor_parts.motor_cine("2.25.1"), units=()))


def _refused() -> Report:
    muscle, pain = MuscleArchitecture(), MyofascialPain()
    refusals: tuple[tuple[Analysis, SonomyoError], ...] = (
        (muscle, InputRejected("The decoder died twice at the same place of this instance")),
        (muscle, NotMeasurable("The cine has no frame that can be decoded.")),
        (pain, NotMeasurable("The cine shows 1.2 s; at least 2.0 s are needed.")),
    )
    return calf_report(findings=[not_measured(one, f"2.25.{n}", error) for n, (one, error) in enumerate(refusals)])


def _with_gaps() -> Report:
    gaps = Gaps(
        failures=("wrist_hand could not be completed for one instance (Timeout); it can be run again.",),
        left_out=("it has no pixel data", *["a segmentation is a result, not an image; its rule is switched off"] * 2),
        identity_hold=True,
    )
    return calf_report(findings=cine_findings(), gaps=gaps)


def _empty() -> Report:
    return calf_report(findings=())


def _signed_second_version() -> Report:
    return calf_report(previous=calf_report()).model_copy(update={"status": ReportStatus.FINAL})


def _compared(findings: Sequence[Finding], *before: EarlierReport) -> Report:
    report = calf_report(findings=findings)
    compared = compare(header(), findings, before)
    lines = (report.impression, comparisons_in_short(compared))
    return report.model_copy(update={"comparisons": compared, "impression": "\n".join(lines)})


def _compared_sides_and_times() -> Report:
    wide = Interval(low=10, high=30, level=0.95)
    sides = (measured(18.0, "left", uid="2.25.1", interval=wide), measured(20.0, "right", uid="2.25.2", interval=wide))
    older = MODEL.model_copy(update={"version": "0"})
    earlier = earlier_report([measured(17.0, "left", interval=wide), measured(23.0, "right", model=older)])
    return _compared(sides, earlier)


def _compared_soleus() -> Report:
    sides = (measured(18.0, "left", uid="2.25.1", muscle=SOLEUS), measured(20.0, "right", uid="2.25.2", muscle=SOLEUS))
    return _compared(sides, earlier_report([measured(17.0, muscle=SOLEUS)]))


#: What persons type in the reports of this file: no English, so that a test of what is English finds nothing there.
WHY = "Die tiefe Aponeurose lag zu tief."


def _amended_draft() -> Report:
    return reviewed_report.amended(why=WHY)


def _drawn_draft() -> Report:
    """With all that follows from lines, and a finding that was left as it is."""
    accepted = [{"action": "accept", "finding_id": "2.25.1:echo_intensity"}]
    level = {"superficial": [[40, 150], [600, 150]], "deep": [[40, 400], [600, 400]]}
    lines = [{"sop_instance_uid": "2.25.1", "frame": 12, **level}]
    return reviewed_report.amended(why=WHY, findings=accepted, lines=lines)


def _amended_contraction() -> Report:
    """What the software had said had an interval."""
    report = _contraction()
    measured = [one for one in report.findings if one.interval is not None and isinstance(one.value, float)]
    changes = [{"action": "set", "finding_id": one.finding_id, "value": one.value} for one in measured]
    return reviewed_report.amended(report, why=WHY, findings=changes)


def _written_draft() -> Report:
    """With impression and comment; then a finding is changed under them."""
    written = reviewed_report.amended(why=WHY, impression="Wade unauffällig.\n\nVerlauf erbeten.", comment="Schlechtes Licht.")
    return reviewed_report.amended(written, why=WHY)


def _amended_class() -> Report:
    """A class by a name of the person's own; no analysis makes one yet."""
    said = {"kind": FindingKind.CLASSIFICATION, "name": "fascicle", "value": "left", "unit": None, "series": None}
    finding = cine_findings()[0].model_copy(update={**said, "text": "Fascicle left."})
    change = SetValue(finding_id=finding.finding_id, value="gekreuzt")
    return calf_report(findings=[amend_finding(finding, change, by=reviewed_report.AUTHOR, at=CREATED_AT, why=WHY)])


def _amended_planes() -> Report:
    report = _wrist()
    planes = [finding for finding in report.findings if finding.kind is FindingKind.CLASSIFICATION]
    first, second, *_ = (plane.finding_id for plane in planes)
    changes = [{"action": "set", "finding_id": first, "value": "S9"}, {"action": "reject", "finding_id": second}]
    return reviewed_report.amended(report, why=WHY, findings=changes)


def _rejected_quality() -> Report:
    said = next(finding for finding in _poor_muscle().findings if finding.kind is FindingKind.QUALITY)
    report = calf_report(findings=[*cine_findings(), said])
    return reviewed_report.amended(report, why=WHY, findings=[{"action": "reject", "finding_id": said.finding_id}])


def _all_rejected() -> Report:
    changes = [{"action": "reject", "finding_id": finding.finding_id} for finding in cine_findings()]
    return reviewed_report.amended(why=WHY, findings=changes)


def _signed() -> Report:
    return reviewed_report.signed(_amended_draft())


def _signed_with_draft() -> Report:
    return _signed().model_copy(update={"draft": _draft_beside_signed().report_id})


def _signed_again() -> Report:
    return reviewed_report.signed(reviewed_report.amended(_signed(), why=WHY), official=_signed())


def _draft_beside_signed() -> Report:
    """Composed of a new analysis: one amendment was carried over; what the other was made of has gone."""
    before = reviewed_report.signed(_written_draft())
    carried = carry_over(before, [one for one in cine_findings() if one.name != "echo_intensity"])
    return with_words(before, calf_report(findings=carried.findings, gaps=Gaps(dropped=carried.dropped), previous=before))


def _draft_without_amendments() -> Report:
    """Beside a signed version: neither amendment could be carried over."""
    before = _signed()
    carried = carry_over(before, [_moved(one, "2.25.9") for one in cine_findings()])
    return calf_report(findings=carried.findings, gaps=Gaps(dropped=carried.dropped), previous=before)


def _withdrawn() -> Report:
    return reviewed_report.withdrawn(_signed(), why=WHY)


def _withdrawn_draft() -> Report:
    return reviewed_report.withdrawn(_amended_draft(), why=WHY)


def _moved(finding: Finding, uid: str) -> Finding:
    """The same of another instance."""
    return finding.model_copy(update={"evidence": finding.evidence.model_copy(update={"sop_instance_uid": uid})})


EVERY_REPORT: Mapping[str, Callable[[], Report]] = {
    make.__name__.strip("_"): cache(make)
    for make in (
        *(
            _calf,
            _contraction,
            _without_scale_or_time,
            _poor_muscle,
            _no_muscle,
            _wrist,
            _no_wrist,
            _pain,
            _partly_unlike_pain,
            _states,
            _no_states,
            _motor_units,
            motor_unit_missed_for_a_while,
            _no_motor_unit,
        ),
        *(_refused, _with_gaps, _empty, _signed_second_version, _compared_sides_and_times, _compared_soleus),
        *(
            _amended_draft,
            _drawn_draft,
            _amended_contraction,
            _written_draft,
            _amended_class,
            _amended_planes,
            _rejected_quality,
            _all_rejected,
            _motor_units_left,
            _motor_unit_with_a_set_rate,
            _signed,
        ),
        *(_signed_with_draft, _signed_again, _draft_beside_signed, _draft_without_amendments, _withdrawn, _withdrawn_draft),
    )
}
