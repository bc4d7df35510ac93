"""A cine of a trapezius as far as the analysis goes, and two networks whose answers follow one square of the picture."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.analyses.myofascial_pain import CASES, ENCODER, LATENT, LOGITS, MyofascialPain
from service.core.cine import Box, Calibration, Cine, Frame, Pixels, Region, TimeAxis
from service.core.findings import Finding, ModelUsed

BRIGHT = 200


def spot_cine(
    uid: str = "1.2.3", *, bright_frames: Sequence[int] = (), frames: int = 40, side: Literal["left", "right"] | None = "left"
) -> Cine:
    """12.5 frames a second of noise between two fasciae; in some frames the upper left of the muscle is bright."""
    noise = np.random.default_rng(0).integers(20, 60, (64, 64), dtype=np.uint8)
    noise[[7, 8, 55, 56]] = 250

    def pixels(number: int) -> Pixels:
        frame = noise.copy()
        if number in bright_frames:
            frame[12:24, :16] = BRIGHT
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
        laterality=side,
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
