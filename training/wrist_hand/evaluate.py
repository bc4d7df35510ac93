"""What networks are worth on volunteers that they never saw: `python -m training.wrist_hand.evaluate --data DIR --runs RUN`.

Networks stand side by side, those for planes and those for structures in columns of their own; everything is simulated. Choose on
`validation`; `test` and `held-out-device` are looked at once a release.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from training.wrist_hand.model import giga_multiply_accumulates
from training.wrist_hand.results import RESULTS, keep
from training.wrist_hand.scores import calibration_error, plane_scores, structure_scores
from training.wrist_hand.temperature import fitted_temperature, probabilities
from training.wrist_hand.train import load_network
from training.wrist_hand.volunteers import SIZE, SPLITS, Bytes, Pictures, load

_AT_ONCE = 16
_TIMED = 30
#: Of all pictures, also those half way to another plane; and of those alone that show a plane, well or badly.
_DRAWN = ("structures", "structures_of_planes")
_CALIBRATION = ("expected_calibration_error", "calibration_error_after_temperature")


def main() -> None:
    """Scores of every run on every split, as JSON and as a table; runs that are there already and are not named stay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where training.wrist_hand.volunteers left its pictures")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="folders of training.wrist_hand.train")
    parser.add_argument("--splits", nargs="+", choices=sorted(SPLITS), default=["validation"])
    parser.add_argument("--output", type=Path, default=RESULTS, help="a JSON file; the tables have its name, in Markdown")
    arguments = parser.parse_args()
    pictures = {name: load(SPLITS[name], arguments.data) for name in arguments.splits}
    validation = pictures.get("validation") or load(SPLITS["validation"], arguments.data)
    scored = {run.name: evaluate(run, pictures, validation) for run in arguments.runs}
    found = {**keep(arguments.output).get("networks", {}), **scored}
    side_by_side = table(found)
    keep(arguments.output, networks=found, table=side_by_side)
    texts = [side_by_side, *(one_by_one(name, one) for name, one in found.items())]
    arguments.output.with_suffix(".md").write_text("\n".join(texts), encoding="utf-8")
    print(side_by_side)


def evaluate(run: Path, pictures: dict[str, Pictures], validation: Pictures) -> dict[str, Any]:
    """Size, cost and time of a network, and its scores on each split; the temperature is fitted on `validation`."""
    network, stages = load_network(run)
    fitting, _ = predict(network, validation.image)
    temperature = None if fitting is None else fitted_temperature(fitting, validation.plane)
    return {
        "network": stages[-1].network,
        "steps": sum(stage.steps for stage in stages),
        "parameters": sum(p.numel() for p in network.parameters()),
        "giga_multiply_accumulates": giga_multiply_accumulates(network),
        "milliseconds": milliseconds(network),
        "temperature": temperature,
        "splits": {name: _scores(network, shown, temperature or 1.0) for name, shown in pictures.items()},
    }


def predict(network: nn.Module, images: Bytes) -> tuple[npt.NDArray[np.float32] | None, Bytes | None]:
    """Of pictures (N, S, S): plane logits (N, 16) and class maps (N, S, S), where the network gives them."""
    planes, structures = [], []
    with torch.inference_mode():
        for start in range(0, len(images), _AT_ONCE):
            image = torch.from_numpy(images[start : start + _AT_ONCE])[:, None].float()
            plane, drawn = network(image.contiguous(memory_format=torch.channels_last))
            if plane is not None:
                planes.append(plane.numpy())
            if drawn is not None:
                structures.append((drawn.argmax(1) * (image[:, 0] > 0.5)).to(torch.uint8).numpy())
    return np.concatenate(planes) if planes else None, np.concatenate(structures) if structures else None


def milliseconds(network: nn.Module) -> float:
    """Least time of a picture on one core, in torch."""
    image, threads, found = torch.full((1, 1, SIZE, SIZE), 60.0), torch.get_num_threads(), []
    torch.set_num_threads(1)
    with torch.inference_mode():
        for _ in range(_TIMED):
            begun = time.perf_counter()
            network(image)
            found.append(time.perf_counter() - begun)
    torch.set_num_threads(threads)
    return 1000 * min(found)


def table(found: dict[str, Any]) -> str:
    """A line a run and split."""
    heads = ["run", "network", "steps", "parameters, M", "GMAC", "ms, one core", "volunteers", "macro-F1"]
    heads += ["calibration error", "calibration error after temperature"]
    heads += [f"{of} Dice{which}" for which in ("", ", pictures of a plane") for of in ("mean", "median nerve")]
    lines = ["|" + "|".join(heads) + "|", "|---" * len(heads) + "|"]
    for name, one in found.items():
        for split, scores in one["splits"].items():
            planes = scores.get("planes")
            drawn = [scores[part] for part in _DRAWN if part in scores]
            cells = [
                name,
                one["network"],
                str(one["steps"]),
                f"{one['parameters'] / 1e6:.2f}",
                f"{one['giga_multiply_accumulates']:.2f}",
                f"{one['milliseconds']:.0f}",
                f"{split}, {scores['volunteers']}",
                _interval(planes["macro_f1"]) if planes else "",
                *(_cell((planes or {}).get(key)) for key in _CALIBRATION),
                *(_interval(part[dice]) for part in drawn for dice in ("mean_dice", "median_nerve_dice")),
            ]
            lines.append("|" + "|".join(cells + [""] * (len(heads) - len(cells))) + "|")
    return "\n".join(lines) + "\n"


def one_by_one(name: str, found: dict[str, Any]) -> str:
    """Every plane and every structure of a run, a column a split."""
    splits = found["splits"]
    lines = []
    for part, what, columns in (
        ("planes", "planes", {"precision": "precision", "recall": "recall", "f1": "F1"}),
        *((part, "structures", {"dice": "Dice", "hd95_mm": "HD95, mm"}) for part in _DRAWN),
    ):
        told = {split: scores[part][what] for split, scores in splits.items() if part in scores}
        if told:
            heads = [f"{split}: {column}" for split in told for column in columns.values()]
            lines += [f"|{name}: {part.replace('_', ' ')}|" + "|".join(heads) + "|", "|---" * (len(heads) + 1) + "|"]
            for row in next(iter(told.values())):
                cells = [_cell(one[row][key]) for one in told.values() for key in columns]
                lines.append(f"|{row.replace('_', ' ')}|" + "|".join(cells) + "|")
            lines.append("")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _scores(network: nn.Module, shown: Pictures, temperature: float) -> dict[str, Any]:
    logits, drawn = predict(network, shown.image)
    found: dict[str, Any] = {"volunteers": len(np.unique(shown.volunteer)), "pictures": len(shown.plane)}
    if logits is not None:
        found["planes"] = plane_scores(shown.plane, probabilities(logits), shown.volunteer)
        after = calibration_error(shown.plane, probabilities(logits, temperature))
        found["planes"]["calibration_error_after_temperature"] = after
    if drawn is not None:
        for part, asked in zip(_DRAWN, (np.arange(len(drawn)), np.flatnonzero(shown.plane)), strict=True):
            maps = (shown.structures[asked], drawn[asked])
            found[part] = structure_scores(*maps, shown.volunteer[asked], shown.mm_per_pixel[asked])
    return found


def _interval(found: dict[str, float]) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


if __name__ == "__main__":
    main()
