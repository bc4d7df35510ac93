"""Simulated pictures of a wrist as a cine, and the answers of a network that knows them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle

import numpy as np

from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.analyses.wrist_hand import MODEL, SIZE, WristHand
from service.core.cine import Box, Calibration, Cine, Frame, Pixels, Region, TimeAxis
from service.core.findings import Finding, ModelUsed
from service.core.live import Ask
from service.core.masks import MaskKeeper, Masks
from service.core.measure.plane import scale_of
from service.core.measure.wrist_frames import FrameGrader
from service.core.measure.wrist_second_look import cut, enlarged, round_nerve
from service.core.preprocess import Placement, find_sector, model_input, model_numbers, place
from service.core.wrist_planes import PLANES
from simulator.wrist import Kind, Volunteer, WristFrame, wrist_frame

MM = 0.1
#: Of structures, (S, S).
Numbers = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


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


def knowing(
    shown: Sequence[WristFrame], at_second_look: Callable[[Numbers], Numbers] = lambda numbers: numbers
) -> Callable[[ModelSpec, Iterable[Tensors]], Iterator[Tensors]]:
    """Answers as the truth of each picture is; what it draws at the second look may be `at_second_look` of the truth."""
    placement = place(find_sector([one.sector for one in shown[:4]]), SIZE)
    answers: dict[bytes, tuple[str, Numbers]] = {}
    for one in shown:
        image, numbers = model_input(one.sector, placement), model_numbers(one.labels, placement)
        answers[image.tobytes()] = one.plane, numbers
        closer = looked_at_again(one.plane, image, numbers, placement)
        if closer is not None:
            whole = enlarged(placement)
            drawn = at_second_look(cut(model_numbers(one.labels, whole), closer))
            answers[cut(model_input(one.sector, whole), closer).tobytes()] = one.plane, drawn

    def infer(model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        assert model is MODEL
        for batch in batches:
            images = batch["image"]
            assert images.dtype == np.uint8
            assert images.shape[1:] == MODEL.inputs[0].shape
            assert len(images) <= MODEL.max_batch_size
            found = [answers[image.tobytes()] for image in images]
            yield {
                "plane": np.stack([sure_of(plane) for plane, _ in found]),
                "structures": np.stack([numbers for _, numbers in found]),
                "sureness": np.full((len(found), SIZE, SIZE), 240, np.uint8),
            }

    return infer


def looked_at_again(plane: str, image: Numbers, numbers: Numbers, placement: Placement) -> Placement | None:
    """Where the nerve is looked for again in a picture that is drawn as its truth is."""
    grader = FrameGrader(placement, scale_of(Calibration(MM, MM, "regions"), placement), {})
    return round_nerve(grader.grade(1, image, sure_of(plane), numbers, np.full_like(numbers, 240)), placement)


def sure_of(plane: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Probabilities (16,) of a plane, or of none."""
    index = next((number for number, one in enumerate(PLANES, start=1) if one.name == plane), 0)
    found = np.full(1 + len(PLANES), 0.004, np.float32)
    found[index] = 0.94
    return found


def as_model(one: WristFrame) -> Numbers:
    """(S, S), its structures in model pixels."""
    rows, columns = one.sector.shape
    return model_numbers(one.labels, place(Box(0, 0, columns, rows), SIZE))


def asked_live(shown: Sequence[WristFrame]) -> Ask:
    """A network that is asked one frame at a time, and answers as the pictures are, in their order and over again."""
    truths = cycle(shown)

    def ask(image: Pixels) -> Tensors:
        assert image.shape == (1, 1, SIZE, SIZE)
        one = next(truths)
        return {
            "plane": sure_of(one.plane)[None],
            "structures": as_model(one)[None],
            "sureness": np.full((1, SIZE, SIZE), 240, np.uint8),
        }

    return ask


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
    at_second_look: Callable[[Numbers], Numbers] = lambda numbers: numbers,
) -> list[Finding]:
    """Findings of the analysis."""
    model = ModelUsed(name="wrist_hand", version="1", sha256="cd" * 32, evidence="simulated")
    cine = cine_of(shown, is_calibrated=is_calibrated, sop_instance_uid=sop_instance_uid)
    return list(WristHand(frames_per_batch=2).analyse(cine, knowing(shown, at_second_look), lambda _: model, keep))
