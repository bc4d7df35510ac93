"""Simulated pictures of a wrist as a cine, and the answers of a network that knows them."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.analyses.wrist_hand import MODEL, SIZE, WristHand
from service.core.cine import Box, Calibration, Cine, Frame, Region, TimeAxis
from service.core.findings import Finding, ModelUsed
from service.core.masks import MaskKeeper, Masks
from service.core.preprocess import model_numbers, place
from service.core.wrist_planes import PLANES
from simulator.wrist import Kind, Volunteer, WristFrame, wrist_frame

MM = 0.1


def well(plane: str, count: int) -> list[tuple[Kind, str]]:
    """A plane held well for some frames."""
    return [("well", plane)] * count


def pictures(volunteer: Volunteer, *wanted: tuple[Kind, str]) -> list[WristFrame]:
    """Of kinds and planes."""
    return [wrist_frame(volunteer, number, kind, plane, MM) for number, (kind, plane) in enumerate(wanted)]


def cine_of(shown: Sequence[WristFrame], *, is_calibrated: bool = True, sop_instance_uid: str = "1.2.3") -> Cine:
    """At 15 frames a second."""
    rows, columns = shown[0].sector.shape
    scale = Calibration(MM, MM, "regions") if is_calibrated else Calibration(None, None, "none", "no region")
    return Cine(
        sop_instance_uid=sop_instance_uid,
        number_of_frames=len(shown),
        rows=rows,
        columns=columns,
        region=Region(1, Box(0, 0, columns, rows), scale, "the tissue region"),
        time_axis=TimeAxis(tuple(index / 15 for index in range(len(shown))), "FrameTime"),
        frames=lambda: (Frame(number, one.sector) for number, one in enumerate(shown, start=1)),
        picture=lambda number: np.stack([shown[number - 1].sector] * 3, axis=-1),
        pixel_sha256=lambda: "0" * 64,
        laterality="left",
    )


def knowing(shown: Sequence[WristFrame]) -> Callable[[ModelSpec, Iterable[Tensors]], Iterator[Tensors]]:
    """Answers in the order of the frames, as their truth is."""

    def infer(model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        assert model is MODEL
        done = 0
        for batch in batches:
            images = batch["image"]
            assert images.dtype == np.uint8
            assert images.shape[1:] == MODEL.inputs[0].shape
            mine = shown[done : done + len(images)]
            done += len(images)
            yield {
                "plane": np.stack([sure_of(one.plane) for one in mine]),
                "structures": np.stack([as_model(one) for one in mine]),
                "sureness": np.full((len(mine), SIZE, SIZE), 240, np.uint8),
            }

    return infer


def sure_of(plane: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Probabilities (16,) of a plane, or of none."""
    index = next((number for number, one in enumerate(PLANES, start=1) if one.name == plane), 0)
    found = np.full(1 + len(PLANES), 0.004, np.float32)
    found[index] = 0.94
    return found


def as_model(one: WristFrame) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """(S, S), its structures in model pixels."""
    rows, columns = one.sector.shape
    return model_numbers(one.labels, place(Box(0, 0, columns, rows), SIZE))


def analysed_and_drawn(shown: Sequence[WristFrame], *, sop_instance_uid: str) -> tuple[list[Finding], Masks]:
    """Findings of the analysis, and what it drew."""
    keeper = MaskKeeper()
    findings = analyse(shown, sop_instance_uid=sop_instance_uid, keep=keeper)
    kept = keeper.kept()
    assert kept is not None
    return findings, kept


def analyse(
    shown: Sequence[WristFrame],
    *,
    is_calibrated: bool = True,
    sop_instance_uid: str = "1.2.3",
    keep: MaskKeeper | None = None,
) -> list[Finding]:
    """Findings of the analysis."""
    model = ModelUsed(name="wrist_hand", version="1", sha256="cd" * 32, evidence="simulated")
    cine = cine_of(shown, is_calibrated=is_calibrated, sop_instance_uid=sop_instance_uid)
    return list(WristHand(frames_per_batch=3).analyse(cine, knowing(shown), lambda _: model, keep))
