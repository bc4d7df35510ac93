"""Text of the model repository: Triton's config.pbtxt and the model card."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from training.muscle_segmentation.model import UNNAMED_NETWORK
from training.muscle_segmentation.real import HELD_OUT_DEVICE

_SIMULATED = """`simulator/` of this repository, {share:.0%} of every batch, other seeds than in the tables below; frames without
  a muscle (probe in air, speckle, layers, vessels, bone) among them."""

_REAL_NEGATIVES = """
- Without muscle: usgra, github tmkand/usgra-seg, commit 66dc77d, CC BY 4.0: the 204 pictures of its
  train folder, every map empty."""

_NEGATIVES = """
Of {images} {kind} without a muscle, {share_of_images_with_belly_over_5_percent:.0%}
({interval[0]:.0%} to {interval[1]:.0%}) got a belly of over 5 % of the frame."""
_KINDS = {
    "simulated_without_muscle": "simulated frames",
    "real_without_muscle": "real pictures (usgra, test: nerves and vessels across, same examiner as those trained on)",
}

_TEACHER = Path(__file__).parent / "weights" / "teacher.json"
_BOTTOM_AND_HEAD = "dilated convolutions at the bottom, sub-pixel head"
_NETWORKS = {
    "subpixel-unet": f"U-Net on 2 x 2 blocks (24-48-80-112 channels at 1/2 to 1/16), {_BOTTOM_AND_HEAD}",
    "subpixel-unet-slim": f"U-Net on 2 x 2 blocks (16-32-64-96 channels at 1/2 to 1/16), skips added, {_BOTTOM_AND_HEAD}",
}
_TAUGHT = """
- Teacher: what people had not drawn in a labelled frame was filled in by a wider network of the same kind (24-48-80-112
  channels, skips joined), trained on the same fold: `training/muscle_segmentation/weights/teacher.onnx`, SHA-256 `{sha256}`."""

_AVERAGED = """
- Averaged: the weights are a mean over stages of one training (Izmailov 2018, Wortsman 2022), with the shares of the command
  `average` below."""

#: Of stages that name no network.
_OLD_CODE = "git checkout 3d6d982"
#: From the first one to the one whose weights are kept.
Stages = Sequence[Mapping[str, Any]]
_LOSS_OPTIONS = ("fascicle_positive", "fascicle_false_positive")
_ROWS = (
    ("images (clusters)", "images"),
    ("aponeurosis IoU", "aponeurosis_iou"),
    ("aponeurosis Dice", "aponeurosis_dice"),
    ("centre-line error, median, px", "line_error_pixels_median"),
    ("labelled lines found", "lines_found"),
    ("both lines within 3 px", "both_lines_within_3_pixels"),
    ("muscle belly IoU", "belly_iou"),
    ("fascicle F1 at 2 px", "fascicle_f1_at_2_pixels"),
    ("fascicle Dice", "fascicle_dice"),
    ("fascicle clDice", "fascicle_cldice"),
    ("fragment angle MAE, deg", "angle_mae_deg"),
    ("images with an angle", "angle_answered"),
    ("analysis' angle MAE, deg", "analysis_angle_mae_deg"),
    ("images with the analysis' angle", "analysis_angle_answered"),
    ("constant angle MAE, deg", "constant_angle_mae_deg"),
    ("structure tensor MAE, deg", "tensor_angle_mae_deg"),
    ("analysis' thickness MAE, %", "thickness_mae_percent"),
    ("images with the analysis' thickness", "thickness_answered"),
    ("constant thickness MAE, %", "constant_thickness_mae_percent"),
)
_COLUMNS = (
    ("real: validation", "validation"),
    ("the same, int8 as served", "int8_validation"),
    ("real: held-out device", "held_out_device"),
    ("the same, int8 as served", "int8_held_out_device"),
    ("simulated: new subjects", "simulated_subjects"),
    ("simulated: new devices", "simulated_devices"),
)


def triton_config(digest: str) -> str:
    """config.pbtxt for the exported weights."""
    return _template("config.pbtxt").substitute(digest=digest)


def model_card(facts: Mapping[str, Any], tables: Mapping[str, Any]) -> str:
    """model_card.md from what training and evaluation wrote."""
    stages = facts["stages"]
    rebuilt = _commands([part["stages"] for part in facts["averaged"]] or [stages], "RUN", facts["averaged"])
    share = stages[-1]["simulated_share"]
    negatives = "".join(_NEGATIVES.format(kind=said, **tables[key]) for key, said in _KINDS.items() if key in tables)
    return _template("model_card.md").substitute(
        remark=facts["remark"],
        labels="aponeurosis, fascicle, muscle_belly, in this order",
        digest=facts["digest"],
        parameters=f"{facts['parameters']:,}",
        operations=f"{facts['giga_multiply_accumulates']:.2f}",
        network=_NETWORKS[stages[-1].get("network", UNNAMED_NETWORK)],
        teacher=_TAUGHT.format(sha256=_teacher()["sha256"]) if _is_taught(stages) else "",
        evidence_remark=", with simulated frames added in training" if share else "",
        simulated=_SIMULATED.format(share=share) if share else "none.",
        real_negatives=_REAL_NEGATIVES if stages[-1].get("real_negatives") else "",
        device=HELD_OUT_DEVICE,
        table=_table(tables),
        negatives=negatives,
        served=facts["served"],
        averaged=_AVERAGED if facts["averaged"] else "",
        last=len(rebuilt),
        commands="\n".join((*(_commands([_teacher()["stages"]], "TEACHER") if _is_taught(stages) else ()), *rebuilt)),
        schedule="; ".join(", ".join(f"{name} {value}" for name, value in stage.items()) for stage in _once(facts)),
    )


def _is_taught(stages: Stages) -> bool:
    return any(stage.get("is_taught") for stage in stages)


def _teacher() -> dict[str, Any]:
    """Its SHA-256 and its stages."""
    teacher: dict[str, Any] = json.loads(_TEACHER.read_text())
    return teacher


def _once(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every stage that the weights, or a part of their average, went through."""
    found: list[Mapping[str, Any]] = []
    for part in facts["averaged"] or [facts]:
        found += [stage for stage in part["stages"] if stage not in found]
    return found


def _commands(chains: Sequence[Stages], run: str, averaged: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """One training command a stage, each beginning where the one before it in its chain ended; then that of the average."""
    places: dict[str, int] = {}
    lines, unnamed = [], 0
    for chain in chains:
        for length, stage in enumerate(chain, start=1):
            if (key := json.dumps(chain[:length])) in places:
                continue
            places[key] = len(places) + 1
            unnamed += "network" not in stage
            start = places[json.dumps(chain[: length - 1])] if length > 1 else None
            lines.append(_command(stage, run, places[key], start))
    if unnamed:
        lines = [_OLD_CODE, *lines[:unnamed], "git checkout -", *lines[unnamed:]]
    if averaged:
        runs = " ".join(f"{run}/{places[json.dumps(part['stages'])]}" for part in averaged)
        shares = " ".join(f"{part['share']:.10g}" for part in averaged)
        out = f"{run}/{len(places) + 1}"
        lines.append(f"python -m training.muscle_segmentation.average --runs {runs} --weights {shares} --out {out}")
    return lines


def _command(stage: Mapping[str, Any], run: str, number: int, start: int | None) -> str:
    """Of one stage; `start` is the number of the one whose weights it begins with."""
    words = [f"python -m training.muscle_segmentation.train --data DLTRACK --out {run}/{number} --steps {stage['steps']}"]
    words += [f"--{name} {stage[name]}" for name in ("network", "fold", "seed") if name in stage]
    words += [f"--learning-rate {stage['learning_rate']}"]
    words += [f"--stop-at {stage['stopped_at']}"] if stage["stopped_at"] != stage["steps"] else []
    words += [f"--start-from {run}/{start}/last.pt"] if start else []
    words += [f"--{name.replace('_', '-')} {stage[name]}" for name in _LOSS_OPTIONS if name in stage]
    words += [] if stage["simulated_share"] else ["--simulated-frames 0"]
    words += [] if stage.get("negative_share", 1) else ["--negatives 0"]
    words += ["--without-muscle USGRA/train"] if stage.get("real_negatives") else []
    words += [f"--teacher TEACHER/{len(_teacher()['stages'])}/last.pt"] if stage.get("is_taught") else []
    return " ".join(words)


def _template(name: str) -> Template:
    return Template((Path(__file__).parent / f"{name}.template").read_text())


def _table(tables: Mapping[str, Any]) -> str:
    columns = [(title, tables[key]) for title, key in _COLUMNS if key in tables]
    lines = ["| |" + "|".join(title for title, _ in columns) + "|", "|---|" + "---|" * len(columns)]
    for title, key in _ROWS:
        lines.append(f"|{title}|" + "|".join(_cell(column, key) for _, column in columns) + "|")
    return "\n".join(lines)


def _cell(column: Mapping[str, Any], key: str) -> str:
    value = column[key]
    if value is None:
        return "-"
    if key == "images":
        return f"{value} ({column['clusters']})"
    if isinstance(value, Mapping):
        return f"{value['value']:.2f} ({value['low']:.2f} to {value['high']:.2f}), n {value['images']}"
    return f"{value:.2f}"
