"""How far simulated frames are from real ones: `python -m simulator.calibrate [--real DIR]` prints the table as Markdown.

DIR is a folder of labelled real frames with images/, apo_masks/ and fasc_masks/ of equal names. Both columns are measured by the
same code, after the sector was found and placed as for the network, and with the lines traced from masks.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from service.core.cine import Box
from service.core.preprocess import find_sector, model_input, model_labels, place
from simulator.calf import simulate_calf

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_SUBJECTS = 60
_LABELLED = 100
_SHORTEST_PIXELS = 8


@dataclass(frozen=True, slots=True)
class Example:
    """One frame at 256 x 256; a mask is None where it was not drawn."""

    image: Bytes
    aponeurosis: Mask | None
    fascicle: Mask | None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, help="folder of labelled real frames")
    parser.add_argument("--subjects", type=int, default=_SUBJECTS)
    arguments = parser.parse_args()
    columns = {"simulated": measure(simulated_examples(arguments.subjects))}
    if arguments.real:
        columns["real"] = measure(real_examples(arguments.real))
    sys.stdout.write(table(columns) + "\n")


def simulated_examples(subjects: int) -> Iterator[Example]:
    """One frame, at a random moment, of each of many subjects."""
    for seed in range(subjects):
        cine = simulate_calf(5_000_000 + seed)
        frame = cine.make(int(np.random.default_rng(seed).integers(0, 60)))
        placement = place(Box(0, 0, frame.sector.shape[1], frame.sector.shape[0]))
        image = model_input(frame.sector, placement)
        masks = [model_labels(mask, placement) >= _LABELLED for mask in (frame.masks.aponeurosis, frame.masks.fascicle)]
        yield Example(image, masks[0], masks[1])


def real_examples(folder: Path) -> Iterator[Example]:
    """Every image of the folder with whatever masks it has."""
    for path in sorted((folder / "images").glob("*.png")):
        frame = np.asarray(Image.open(path).convert("L"))
        placement = place(find_sector([frame]))
        masks: list[Mask | None] = []
        # A line one pixel wide covers less of a model pixel than a thick one.
        for kind, threshold in (("apo_masks", _LABELLED), ("fasc_masks", _LABELLED // 2)):
            drawn = folder / kind / path.name
            known = np.asarray(Image.open(drawn).convert("1")) if drawn.exists() else None
            masks.append(None if known is None else model_labels(known, placement) >= threshold)
        yield Example(model_input(frame, placement), masks[0], masks[1])


def measure(examples: Iterable[Example]) -> dict[str, list[float]]:
    """Every figure of every example that has it."""
    found: dict[str, list[float]] = {name: [] for name in _FIGURES}
    for example in examples:
        for name, figure in _FIGURES.items():
            value = figure(example)
            if value is not None:
                found[name].append(value)
    return found


def table(columns: dict[str, dict[str, list[float]]]) -> str:
    """Median (10th to 90th percentile), number of images."""
    lines = ["|256 x 256, per image|" + "|".join(columns) + "|", "|---|" + "---|" * len(columns)]
    lines += [f"|{name}|" + "|".join(_cell(found[name]) for found in columns.values()) + "|" for name in _FIGURES]
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    if not values:
        return "-"
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return f"{middle:.3g} ({low:.3g} to {high:.3g}), n {len(values)}"


def _belly(example: Example) -> Mask | None:
    """Between the two uppermost lines, in the columns where both are drawn."""
    if example.aponeurosis is None:
        return None
    rows = np.arange(example.image.shape[0])[:, None]
    changes = np.diff(np.pad(example.aponeurosis.astype(np.int8), ((1, 1), (0, 0))), axis=0)
    both = (changes == 1).sum(0) >= 2
    if both.sum() < 20:
        return None
    end_of_first = (changes == -1).argmax(0)
    start_of_second = ((rows > end_of_first) & (changes[:-1] == 1)).argmax(0)
    belly = (rows >= end_of_first + 1) & (rows < start_of_second - 1) & both
    return np.asarray(belly) if belly.sum() > 200 else None


def _grey(example: Example, inside: Callable[[Example], Mask | None]) -> npt.NDArray[np.uint8] | None:
    mask = inside(example)
    return None if mask is None or not mask.any() else example.image[mask]


def _mean(example: Example) -> float | None:
    grey = _grey(example, _belly)
    return None if grey is None else float(grey.mean())


def _spread(example: Example) -> float | None:
    grey = _grey(example, _belly)
    return None if grey is None else float(grey.std())


def _line_ratio(example: Example) -> float | None:
    belly, lines = _grey(example, _belly), _grey(example, lambda e: e.aponeurosis)
    return None if belly is None or lines is None else float(lines.mean() / max(1.0, belly.mean()))


def _fascicle_ratio(example: Example) -> float | None:
    """Brightness of drawn fascicles over what lies 3 to 5 pixels beside them."""
    if example.fascicle is None or not example.fascicle.any():
        return None
    near = ndimage.distance_transform_edt(~example.fascicle)
    beside = (near >= 3) & (near <= 5) & (example.image > 0)
    return float(example.image[example.fascicle].mean() / max(1.0, example.image[beside].mean()))


def _fragments(example: Example) -> list[tuple[float, float]]:
    """Length (pixels) and steepness (degrees) of each drawn piece."""
    if example.fascicle is None:
        return []
    labels, count = ndimage.label(example.fascicle, np.ones((3, 3)))
    points = [np.argwhere(labels == index) for index in range(1, count + 1)]
    spans = [np.linalg.svd(p - p.mean(0), full_matrices=False) for p in points if len(p) > 3]
    sizes = [
        (float(2 * s[1][0] * np.sqrt(3 / len(s[0]))), float(np.degrees(np.arctan2(abs(s[2][0][0]), abs(s[2][0][1])))))
        for s in spans
    ]
    return [(length, steepness) for length, steepness in sizes if length >= _SHORTEST_PIXELS]


def _fragment_count(example: Example) -> float | None:
    return None if example.fascicle is None else float(len(_fragments(example)))


def _fragment_length(example: Example) -> float | None:
    found = _fragments(example)
    return float(np.median([length for length, _ in found])) if found else None


def _steepness(example: Example) -> float | None:
    found = _fragments(example)
    return float(np.median([steepness for _, steepness in found])) if found else None


def _line_share(example: Example) -> float | None:
    return None if example.aponeurosis is None else float(100 * example.aponeurosis.mean())


def _thickness_share(example: Example) -> float | None:
    belly = _belly(example)
    if belly is None:
        return None
    sector_rows = int((example.image > 0).any(1).sum())
    return float(np.median(belly.sum(0)[belly.any(0)]) / sector_rows)


_FIGURES: dict[str, Callable[[Example], float | None]] = {
    "muscle grey, mean": _mean,
    "muscle grey, SD": _spread,
    "aponeurosis to muscle grey": _line_ratio,
    "fascicle to background grey": _fascicle_ratio,
    "fascicle pieces": _fragment_count,
    "length of a piece, px": _fragment_length,
    "steepness of the pieces, deg": _steepness,
    "aponeurosis, % of pixels": _line_share,
    "muscle height, share of the sector's": _thickness_share,
}

if __name__ == "__main__":
    main()
