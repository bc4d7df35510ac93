"""Muscles drawn with known millimetres: what a perfect network would answer, and the cine around it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.cine import Box, Calibration, Cine, Frame, Pixels, Region, TimeAxis
from service.core.findings import ModelUsed
from service.core.preprocess import Placement, model_labels, place

Masks = npt.NDArray[np.uint8]

#: Standard deviations of the beam's blur: finer along than across, as a scanner's.
_BEAM_ALONG_MM = 0.09
_BEAM_ACROSS_MM = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Muscle:
    """Straight aponeuroses and fascicles. Angles in degrees, positive rising to the right; lengths in mm."""

    width_mm: float = 45.0
    depth_mm: float = 40.0
    mm_per_pixel_x: float = 0.1
    mm_per_pixel_y: float = 0.1
    superficial_mm: float = 8.0
    thickness_mm: float = 18.0
    superficial_angle_deg: float = 0.0
    deep_angle_deg: float = 0.0
    fascicle_angle_deg: float = 20.0
    aponeurosis_mm: float = 1.0
    #: Middles of the fragments, as shares of the width and of the thickness.
    fragments: tuple[tuple[float, float], ...] = tuple(
        (share, height) for share in (0.2, 0.35, 0.5, 0.65, 0.8) for height in (0.3, 0.7)
    )
    fragment_mm: float = 8.0
    belly_grey: int = 80

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return round(self.depth_mm / self.mm_per_pixel_y), round(self.width_mm / self.mm_per_pixel_x)

    @property
    def pennation_deg(self) -> float:
        """Between fascicles and the deep aponeurosis."""
        return abs(self.fascicle_angle_deg - self.deep_angle_deg)

    @property
    def fascicle_length_mm(self) -> float:
        """Through the belly's middle, where the thickness is `thickness_mm`."""
        up, down = (self._reach(angle) for angle in (self.superficial_angle_deg, self.deep_angle_deg))
        return up + down

    def _reach(self, edge_deg: float) -> float:
        rise = abs(np.tan(np.radians(self.fascicle_angle_deg)) - np.tan(np.radians(edge_deg)))
        return float(self.thickness_mm / 2 / rise / np.cos(np.radians(self.fascicle_angle_deg)))

    def draw(self) -> tuple[Pixels, Masks]:
        """The image (H, W) and its aponeurosis, fascicle and belly (3, H, W), 0 or 1; both read-only."""
        return _drawn(self)

    def draw_anew(self) -> tuple[Pixels, Masks]:
        """The same, not from memory."""
        rows, columns = self.shape
        x = (np.arange(columns)[None] + 0.5) * self.mm_per_pixel_x - self.width_mm / 2
        y = (np.arange(rows)[:, None] + 0.5) * self.mm_per_pixel_y
        superficial = self.superficial_mm - x * np.tan(np.radians(self.superficial_angle_deg))
        deep = self.superficial_mm + self.thickness_mm - x * np.tan(np.radians(self.deep_angle_deg))
        above = (y < superficial) & (y > superficial - self.aponeurosis_mm)
        below = (y > deep) & (y < deep + self.aponeurosis_mm)
        belly = (y >= superficial) & (y <= deep)
        masks = np.stack([above | below, self._fascicles(x, y), belly]).astype(np.uint8)
        noise = np.random.default_rng(0).normal(0, 40, (rows, columns))
        image = np.where(belly, self.belly_grey, 50) + noise + 100 * masks[0] + 120 * masks[1]
        beam = (_BEAM_ALONG_MM / self.mm_per_pixel_y, _BEAM_ACROSS_MM / self.mm_per_pixel_x)
        return np.clip(ndimage.gaussian_filter(image, beam), 0, 255).astype(np.uint8), masks

    def _fascicles(self, x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        angle = np.radians(self.fascicle_angle_deg)
        drawn = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.bool_)
        for share, height in self.fragments:
            dx, dy = x - (share - 0.5) * self.width_mm, y - self.superficial_mm - height * self.thickness_mm
            along, across = dx * np.cos(angle) - dy * np.sin(angle), dx * np.sin(angle) + dy * np.cos(angle)
            drawn |= (np.abs(along) < self.fragment_mm / 2) & (np.abs(across) < 0.2)
        return drawn

    def answer(self, placement: Placement | None = None) -> Masks:
        """What a perfect network answers (3, S, S)."""
        rows, columns = self.shape
        placed = placement or place(Box(0, 0, columns, rows))
        return np.stack([model_labels(mask.astype(np.bool_), placed) for mask in self.draw()[1]])

    def changed(self, **changes: float) -> "Muscle":
        """The same muscle but for what is named."""
        return replace(self, **changes)  # type: ignore[arg-type]  # of mixed types


@lru_cache(maxsize=64)
def _drawn(muscle: Muscle) -> tuple[Pixels, Masks]:
    """Most tests look at the same few muscles, each as a picture and as an answer."""
    image, masks = muscle.draw_anew()
    image.setflags(write=False)
    masks.setflags(write=False)
    return image, masks


CALIBRATED = "SequenceOfUltrasoundRegions item 1"


def cine_of(images: Sequence[Pixels], calibration: Calibration, *, frame_seconds: float | None = 0.04, left: int = 0) -> Cine:
    """A cine whose region starts `left` pixels into the stored frame."""
    rows, columns = images[0].shape
    seconds = None if frame_seconds is None else tuple(frame_seconds * index for index in range(len(images)))
    return Cine(
        sop_instance_uid="2.25.4711",
        number_of_frames=len(images),
        rows=rows,
        columns=columns + left,
        region=Region(1, Box(left, 0, columns + left, rows), calibration, "the only tissue region"),
        time_axis=TimeAxis(seconds, "FrameTime" if seconds else "none", reason=None if seconds else "no FrameTime"),
        frames=lambda: (Frame(number, image) for number, image in enumerate(images, start=1)),
        picture=lambda number: np.repeat(images[number - 1][:, :, None], 3, axis=2),
        pixel_sha256=lambda: "ab" * 32,
        laterality="left",
    )


def muscle_cine(muscles: Sequence[Muscle], *, left: int = 0, is_calibrated: bool = True) -> Cine:
    """Frames of muscles that share a grid."""
    first = muscles[0]
    known = Calibration(first.mm_per_pixel_x, first.mm_per_pixel_y, CALIBRATED)
    unknown = Calibration(None, None, "none", "the cine has no calibrated region")
    return cine_of([muscle.draw()[0] for muscle in muscles], known if is_calibrated else unknown, left=left)


def scripted(answers: Iterable[Masks]) -> Callable[[ModelSpec, Iterable[Tensors]], Iterator[Tensors]]:
    """A network that answers frame after frame from a list, batch by batch, lazily."""
    waiting = iter(answers)

    def infer(_: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        for batch in batches:
            yield {"masks": np.stack([next(waiting) for _ in range(len(batch["image"]))])}

    return infer


def described(_: ModelSpec) -> ModelUsed:
    """Provenance of the scripted network."""
    return ModelUsed(name="muscle_segmentation", version="1", sha256="cd" * 32, evidence="simulated")
