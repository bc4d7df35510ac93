"""The analysis through its public door: a cine and two networks' answers in, findings out."""

from dataclasses import replace

import numpy as np
import pytest

from service.core.analyses.analysis import apart
from service.core.analyses.myofascial_pain import CLASSIFIER, ENCODER, MyofascialPain
from service.core.cine import Frame
from service.core.compose import Gaps
from service.core.findings import FindingKind
from service.core.measure.pain_findings import NOT_VALIDATED, study_finding
from service.errors import NotMeasurable
from tests.calf_report import calf_report
from tests.trapezius_parts import analyse, networks, spot_cine


def test_cine_gives_a_probability_with_interval_series_and_the_window_that_drives_it() -> None:
    found = analyse(spot_cine(bright_frames=range(25, 41)), networks())
    pain = found["myofascial_pain_probability"]
    assert pain.kind is FindingKind.MEASUREMENT
    assert pain.unit == "{ratio}"
    assert isinstance(pain.value, float)
    assert pain.value == pain.probability
    assert pain.interval is not None
    assert 0 < pain.interval.low < pain.value < pain.interval.high < 1
    assert pain.series is not None
    assert len(pain.series.values) == len(pain.series.time_seconds) == 40
    assert pain.series.values[39] is not None
    assert pain.series.values[0] is not None
    assert pain.series.values[39] > pain.series.values[0]
    assert pain.site is not None
    assert pain.site.laterality == "left"


@pytest.mark.parametrize(("offset", "frames"), [(3.0, range(25, 41)), (-3.0, range(1, 17))])
def test_cine_names_the_window_that_speaks_most_for_the_answer(offset: float, frames: range) -> None:
    found = analyse(spot_cine(bright_frames=range(25, 41)), networks(offset=offset))
    assert found["myofascial_pain_probability"].evidence.frames == tuple(frames)


def test_cine_outlines_the_square_that_drives_the_score_in_stored_pixels() -> None:
    found = analyse(spot_cine(bright_frames=range(1, 41)), networks())
    evidence = found["myofascial_pain_probability"].evidence
    (square,) = evidence.lines
    assert square.label == "drives_the_score"
    assert square.frame in evidence.frames
    assert square.points[0] == square.points[-1] == pytest.approx((29.5, 22), abs=0.5)
    assert square.points[5] == pytest.approx((45.5, 32), abs=0.8)


def test_cine_without_two_fasciae_is_refused_with_the_reason() -> None:
    noise = np.random.default_rng(0).integers(10, 90, (64, 64), dtype=np.uint8)
    lifted = replace(spot_cine(), frames=lambda: (Frame(number, noise) for number in range(1, 41)))
    with pytest.raises(NotMeasurable) as refused:
        analyse(lifted, networks())
    assert refused.value.reason == "no_muscle"


def test_cine_whose_probe_was_lifted_for_a_while_says_so_in_its_quality() -> None:
    noise = np.random.default_rng(0).integers(10, 90, (64, 64), dtype=np.uint8)
    scanned = list(spot_cine().frames())
    lifted = replace(spot_cine(), frames=lambda: iter([*(Frame(n, noise) for n in range(1, 17)), *scanned[16:]]))
    quality = analyse(lifted, networks())["image_quality"]
    assert "Windows without a muscle between two fasciae: 1." in quality.text
    assert quality.flags == ("grade_b", "windows_without_muscle")
    assert quality.text.endswith("Grade B: in some windows no muscle between two fasciae was found.")
    assert isinstance(quality.value, float)
    assert 50 < quality.value < 100


def test_cine_says_everywhere_that_nobody_was_examined_to_make_it() -> None:
    found = analyse(spot_cine(), networks())
    pain = found["myofascial_pain_probability"]
    assert pain.code is not None
    assert NOT_VALIDATED in pain.code.meaning
    assert NOT_VALIDATED in pain.text
    assert "simulation_trained" in pain.flags
    report = calf_report(findings=tuple(found.values()))
    assert NOT_VALIDATED in report.impression
    assert any(NOT_VALIDATED in limitation for limitation in report.limitations)


def test_cine_names_the_nearest_training_cases() -> None:
    cases = analyse(spot_cine(), networks())["nearest_training_cases"]
    assert cases.value == pytest.approx(0.9)
    assert "3 were with myofascial pain" in cases.text


def test_cine_unlike_the_training_cines_abstains_and_says_why() -> None:
    found = analyse(spot_cine(), networks(distance=2.5))
    assert list(found) == ["not_measured"]
    assert found["not_measured"].flags == ("out_of_distribution", "grade_c")
    assert "2.5 times" in found["not_measured"].text


def test_cine_too_short_for_a_window_is_refused() -> None:
    with pytest.raises(NotMeasurable) as refused:
        analyse(spot_cine(frames=10), networks())
    assert refused.value.reason == "cine_too_short"


def test_cine_that_ends_before_its_header_says_is_refused() -> None:
    cine = spot_cine()
    broken = replace(cine, frames=lambda: iter(list(cine.frames())[:9]))
    with pytest.raises(NotMeasurable) as refused:
        analyse(broken, networks())
    assert refused.value.reason == "cine_too_short"


def test_study_of_several_cines_gets_one_probability_between_theirs() -> None:
    low = analyse(spot_cine("1.1"), networks(offset=-1.0))["myofascial_pain_probability"]
    high = analyse(spot_cine("1.2", side="right"), networks(offset=3.0))["myofascial_pain_probability"]
    together = study_finding([low, high])
    assert together is not None
    assert isinstance(low.value, float)
    assert isinstance(high.value, float)
    assert isinstance(together.value, float)
    logit = [np.log(value / (1 - value)) for value in (low.value, together.value, high.value)]
    assert logit[1] == pytest.approx((logit[0] + logit[2]) / 2)
    assert together.interval is not None
    assert together.interval.low < together.value < together.interval.high
    assert together.site is not None
    assert together.site.laterality == "bilateral"
    report = calf_report(findings=(low, high))
    assert [finding.name for finding in report.findings][-1] == "myofascial_pain_probability_of_study"
    first, *of_cines = report.impression.splitlines()
    assert first.startswith("All cines together: Myofascial pain, trapezius muscle, bilateral")
    assert NOT_VALIDATED in first
    assert [line[:6] for line in of_cines] == ["Cine 1", "Cine 2"]


def test_study_of_one_cine_or_of_two_patients_gets_no_probability_of_its_own() -> None:
    one = analyse(spot_cine("1.1"), networks())["myofascial_pain_probability"]
    other = analyse(spot_cine("1.2"), networks())["myofascial_pain_probability"]
    assert study_finding([one]) is None
    report = calf_report(findings=(one, other), gaps=Gaps(identity_hold=True))
    assert "myofascial_pain_probability_of_study" not in [finding.name for finding in report.findings]


def test_models_are_the_two_that_are_asked() -> None:
    assert MyofascialPain().models == (ENCODER, CLASSIFIER)


def test_study_whose_cines_do_not_all_name_a_side_claims_none() -> None:
    cines = (spot_cine("1.2.3", side="left"), spot_cine("1.2.4", side=None))
    findings = [analyse(cine, networks())["myofascial_pain_probability"] for cine in cines]
    together = study_finding(findings)
    assert together is not None
    assert together.site is not None
    assert together.site.laterality is None
    assert together.evidence.frames == ()


def test_cine_refused_for_windows_without_muscle_says_so_and_names_no_distance() -> None:
    noise = np.random.default_rng(0).integers(10, 90, (64, 64), dtype=np.uint8)
    whole = spot_cine()
    shown = list(whole.frames())
    lifted = replace(whole, frames=lambda: (Frame(f.number, f.pixels if f.number <= 6 else noise) for f in shown))
    found = analyse(lifted, networks())
    text = found["not_measured"].text
    assert "no muscle between two fasciae was found" in text
    assert "distance" not in text


def test_probability_does_not_depend_on_the_side_from_which_the_muscle_is_seen() -> None:
    cine = spot_cine(bright_frames=range(1, 41))
    mirrored = replace(cine, frames=lambda: (Frame(f.number, np.ascontiguousarray(f.pixels[:, ::-1])) for f in cine.frames()))
    one, other = (analyse(seen, networks())["myofascial_pain_probability"].value for seen in (cine, mirrored))
    assert one == pytest.approx(other, abs=0.02)


def test_another_version_of_the_encoder_is_asked_for_together_with_its_classifier() -> None:
    alone = apart(MyofascialPain(), {"vde_encoder": "2", "muscle_segmentation": "2"})
    assert alone is not None
    assert "name a version of myofascial_pain too" in alone
    assert apart(MyofascialPain(), {"vde_encoder": "2", "myofascial_pain": "2"}) is None
    assert apart(MyofascialPain(), {"muscle_segmentation": "2"}) is None
