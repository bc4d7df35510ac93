"""The analysis through its public door: a cine and two networks' answers in, findings out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.analyses.myofascial_pain import CASES, CLASSIFIER, ENCODER, LATENT, LOGITS, MyofascialPain
from service.core.cine import Box, Calibration, Cine, Frame, Pixels, Region, TimeAxis
from service.core.compose import Gaps
from service.core.findings import Finding, FindingKind, ModelUsed
from service.core.measure.pain_findings import NOT_VALIDATED, study_finding
from service.errors import NotMeasurable
from tests.calf_report import calf_report

BRIGHT = 200


def spot_cine(uid: str = "1.2.3", *, bright_frames: Sequence[int] = (), frames: int = 40, side: str | None = "left") -> Cine:
    """12.5 frames a second of noise; in some frames the upper left square is bright."""
    noise = np.random.default_rng(0).integers(20, 60, (64, 64), dtype=np.uint8)

    def pixels(number: int) -> Pixels:
        frame = noise.copy()
        if number in bright_frames:
            frame[:16, :16] = BRIGHT
        return frame

    return Cine(
        sop_instance_uid=uid,
        number_of_frames=frames,
        rows=84,
        columns=104,
        region=Region(1, Box(30, 10, 94, 74), Calibration(0.5, 0.5, "regions"), "the tissue region"),
        time_axis=TimeAxis(tuple(index * 0.08 for index in range(frames)), "FrameTime"),
        frames=lambda: (Frame(number, pixels(number)) for number in range(1, frames + 1)),
        picture=lambda number: np.stack([np.pad(pixels(number), ((10, 10), (30, 10)))] * 3, axis=-1),
        pixel_sha256=lambda: "0" * 64,
        laterality=side,  # type: ignore[arg-type]
    )


def networks(*, distance: float = 0.5, gain: float = 0.02, offset: float = 0.0) -> Callable[..., Iterator[Tensors]]:
    """The latent holds the mean grey of the upper left square; the logit rises with it, copies spread evenly round it."""

    def infer(model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        for batch in batches:
            yield encode(batch["clip"]) if model is ENCODER else classify(batch["latent"])

    def encode(clip: npt.NDArray[np.generic]) -> Tensors:
        assert clip.dtype == np.uint8
        assert clip.shape[1:] == ENCODER.inputs[0].shape
        latent = np.zeros((len(clip), LATENT), np.float32)
        latent[:, 0] = clip[:, :, :16, :16].mean((1, 2, 3))
        return {"latent": latent}

    def classify(latent: npt.NDArray[np.generic]) -> Tensors:
        assert latent.dtype == np.float32
        logit = gain * (latent[:, :1].astype(np.float32) - 100) + offset
        return {
            "logits": (logit + np.r_[0, np.linspace(-1, 1, LOGITS - 1)]).astype(np.float32),
            "distance": np.full((len(latent), 1), distance, np.float32),
            "similarity": np.tile(np.linspace(0.9, 0.8, CASES, dtype=np.float32), (len(latent), 1)),
            "case_label": np.tile(np.array([1, 1, 0, 1, 0], np.float32), (len(latent), 1)),
        }

    return infer


def described(model: ModelSpec) -> ModelUsed:
    return ModelUsed(name=model.model_name, version="1", sha256="cd" * 32, evidence="simulated")


def analyse(cine: Cine, infer: Callable[..., Iterator[Tensors]]) -> dict[str, Finding]:
    findings = MyofascialPain(clips_per_batch=3).analyse(cine, infer, described)
    assert len({finding.finding_id for finding in findings}) == len(findings)
    return {finding.name: finding for finding in findings}


def test_cine_gives_a_probability_with_interval_series_and_the_window_that_drives_it() -> None:
    found = analyse(spot_cine(bright_frames=range(25, 41)), networks())
    pain = found["myofascial_pain_probability"]
    assert pain.kind is FindingKind.MEASUREMENT
    assert pain.unit == "1"
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
    assert square.points[0] == square.points[-1] == (29.5, 9.5)
    assert square.points[2] == (45.5, 25.5)


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
    assert found["not_measured"].flags == ("out_of_distribution",)
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


def test_study_of_one_cine_or_of_two_patients_gets_no_probability_of_its_own() -> None:
    one = analyse(spot_cine("1.1"), networks())["myofascial_pain_probability"]
    other = analyse(spot_cine("1.2"), networks())["myofascial_pain_probability"]
    assert study_finding([one]) is None
    report = calf_report(findings=(one, other), gaps=Gaps(identity_hold=True))
    assert "myofascial_pain_probability_of_study" not in [finding.name for finding in report.findings]


def test_models_are_the_two_that_are_asked() -> None:
    assert MyofascialPain().models == (ENCODER, CLASSIFIER)
