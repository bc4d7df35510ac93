"""Put the trained network into the model repository: `python -m training.wrist_hand.export --data DIR --run RUN`.

What `training.wrist_hand.evaluate` measured goes into the card; of it nothing is chosen here but the temperature, on validation.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import torch

from service.core.analyses.wrist_hand import MODEL
from simulator.wrist import WRIST_VERSION
from training.exporting import configuration, differences, digests_in, export
from training.wrist_hand.evaluate import predict
from training.wrist_hand.examinations import examine
from training.wrist_hand.model import NETWORKS, ServedWristHand, giga_multiply_accumulates
from training.wrist_hand.results import RESULTS, keep
from training.wrist_hand.temperature import fitted_temperature
from training.wrist_hand.train import Schedule, load_network
from training.wrist_hand.volunteers import NAMES, SPLITS, load

_LARGEST_DIFFERENCE = 1e-4
#: Share of pixels: where two structures are as probable, rounding decides.
_LARGEST_SHARE = 1e-3
_COMPARED = 25
#: So many volunteers of each split.
_EXAMINED = {"test": 20, "held-out-device": 20, "fresh-test-2": 40, "fresh-device-2": 20}
_COLUMNS = {
    "shared-trunk": "trunk, as served",
    "wide-trunk": "wide trunk, before",
    "wide-trunk-1500": "wide trunk, as few steps",
    "resnet-50": "ResNet-50",
    "hrnet-w18": "HRNet-W18",
}
_ROWS = (
    ("macro-F1", "planes", "macro_f1"),
    ("mean Dice", "structures", "mean_dice"),
    ("median nerve Dice", "structures", "median_nerve_dice"),
)
_HERE = Path(__file__).parent


def main() -> None:
    """Calibrate, export, compare with torch, examine, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where training.wrist_hand.volunteers left its pictures")
    parser.add_argument("--run", type=Path, required=True, help="folder of training.wrist_hand.train")
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--to", type=Path, default=Path("model_repository"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--without-examinations", action="store_true", help="keep those that the results have")
    arguments = parser.parse_args()
    validation = load(SPLITS["validation"], arguments.data)
    network, stages = load_network(arguments.run)
    logits, _ = predict(network, validation.image)
    if logits is None:
        raise SystemExit("The network of this run tells no planes: it cannot be served.")
    temperature = fitted_temperature(logits, validation.plane)
    served = ServedWristHand(network, temperature).eval()
    path = arguments.to / MODEL.model_name / str(arguments.version) / "model.onnx"
    some = validation.image[:: len(validation.image) // _COMPARED, None]
    outputs = [output.name for output in MODEL.outputs]
    export(served, torch.from_numpy(some[:2]), path, inputs=["image"], outputs=outputs)
    plane, structures, _ = differences(served, path, some)
    off, share = float(plane.max()), float((structures > 0).mean())
    if off > _LARGEST_DIFFERENCE or share > _LARGEST_SHARE:
        raise SystemExit(f"ONNX Runtime differs from torch by {off:.1e} in probability and in {share:.2%} of the pixels")
    results = keep(arguments.results)
    examined: dict[str, Any] = {}
    for name, count in {} if arguments.without_examinations else _EXAMINED.items():
        examined[name] = _examined(path, name, count)
        results = keep(arguments.results, examinations=examined)
    facts = {
        "parameters": f"{sum(p.numel() for p in network.parameters()):,}",
        "operations": f"{giga_multiply_accumulates(network):.2f}",
        "difference": f"{off:.1e}",
        "pixels": f"{1e5 * share:.1f}",
        "temperature": f"{temperature:.3f}",
    }
    _write_folder(path.parent.parent, arguments.version, facts, stages, results)


def _examined(path: Path, name: str, count: int) -> dict[str, Any]:
    split = SPLITS[name]
    return examine(path, split.seeds[:count], split.device_group, threads=2)


def _write_folder(folder: Path, version: int, facts: dict[str, str], stages: Sequence[Schedule], results: dict[str, Any]) -> None:
    digests, config = digests_in(folder), folder / "config.pbtxt"
    before = config.read_text(encoding="utf-8") if config.exists() else ""
    statements = {"weights_sha256": digests[version], "evidence": "simulated"}
    template = _HERE / "wrist_hand.pbtxt.template"
    config.write_text(configuration(template, before, list(digests), version, statements), encoding="utf-8")
    (folder / "labels.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    card = Template((_HERE / "wrist_hand.md.template").read_text(encoding="utf-8"))
    text = card.substitute(
        facts,
        versions="\n".join(f"- version {number}: SHA-256 `{digest}`" for number, digest in digests.items()),
        simulator=WRIST_VERSION,
        training="\n".join(_command(number, stage) for number, stage in enumerate(stages, start=1)),
        last=len(stages),
        wide=stages[0].narrowed_from,
        steps=f"{sum(stage.steps for stage in stages):,}",
        baseline=_baseline(results),
        table=results["table"],
        beside=_side_by_side(results),
        untrained=_untrained(results),
        examinations=_examinations(results["examinations"]),
        nerve=_nerve(results),
    )
    (folder / "model_card.md").write_text(text, encoding="utf-8")
    print(f"{folder}: version {version}, SHA-256 {digests[version]}")


def _command(number: int, stage: Schedule) -> str:
    start = f" --start-from RUNS/{number - 1}" if number > 1 else ""
    if stage.narrowed_from:
        return f"python -m training.wrist_hand.narrow --data PICTURES --model WIDE.onnx --out RUNS/{number}"
    options = (
        f"--steps {stage.steps} --learning-rate {stage.learning_rate} --warm-up {stage.warm_up}"
        f" --nameless {stage.nameless} --seed {stage.seed}"
    )
    shown = f" --favour {stage.favour}" if stage.favour else ""
    shown += f" --hands {stage.hands}" if stage.hands != Schedule().hands else ""
    shown += f" --more {stage.more}" if stage.more else ""
    precision = " --bfloat16" if stage.in_bfloat16 else ""
    return f"python -m training.wrist_hand.train --data PICTURES --out RUNS/{number} {options}{shown}{precision}{start}"


def _side_by_side(results: dict[str, Any]) -> str:
    """Cost and scores on `test`: the served network, the wide one, the wide one after as many steps as the references, these."""
    found = [(name, results["networks"][name]) for name in _COLUMNS if name in results.get("networks", {})]
    own = found[0][1]["giga_multiply_accumulates"]
    rows = {
        "steps": [str(one["steps"]) for _, one in found],
        "GMAC a picture": [f"{one['giga_multiply_accumulates']:.2f}" for _, one in found],
        "the trunk's, of it": [f"1/{one['giga_multiply_accumulates'] / own:.1f}" for _, one in found],
    }
    for title, part, score in _ROWS:
        scores = [one["splits"]["test"].get(part, {}).get(score) for _, one in found]
        rows[title] = ["" if one is None else f"{one['value']:.3f}" for one in scores]
    lines = ["|test, 40 volunteers|" + "|".join(_COLUMNS[name] for name, _ in found) + "|", "|---" * (len(found) + 1) + "|"]
    return "\n".join([*lines, *(f"|{title}|" + "|".join(cells) + "|" for title, cells in rows.items())])


def _untrained(results: dict[str, Any]) -> str:
    """Which networks have no figures yet; nothing where all have."""
    trained = {one["network"] for one in results.get("networks", {}).values()}
    names = ", ".join(sorted(set(NETWORKS) - trained))
    return f" (not trained yet: {names})" if names else ""


def _baseline(results: dict[str, Any]) -> str:
    told = ", ".join(f"{f1:.3f} ({name})" for name, f1 in results["baseline"]["macro_f1"].items())
    return f"Histograms of oriented gradients with a logistic regression come to a macro-F1 of {told}."


def _examinations(found: dict[str, dict[str, Any]]) -> str:
    first = next(iter(found.values()))
    lines = ["| |" + "|".join(found) + "|", "|---" * (len(found) + 1) + "|"]
    lines += [f"|{name.replace('_', ' ')}|" + "|".join(str(one[name]) for one in found.values()) + "|" for name in first]
    return "\n".join(lines)


def _nerve(results: dict[str, Any]) -> str:
    return str(results.get("real_nerves", {}).get("text", "Real pictures of nerves: not tried."))


if __name__ == "__main__":
    main()
