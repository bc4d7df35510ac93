"""Text of the model repository: Triton's config.pbtxt and the model card."""

from collections.abc import Mapping
from typing import Any

from training.muscle_segmentation.real import HELD_OUT_DEVICE

_CONFIG = """\
name: "muscle_segmentation"
backend: "onnxruntime"
max_batch_size: 32
input [ {{ name: "image" data_type: TYPE_UINT8 dims: [ 1, 256, 256 ] }} ]
output [ {{ name: "masks" data_type: TYPE_UINT8 dims: [ 3, 256, 256 ] label_filename: "labels.txt" }} ]
version_policy: {{ specific: {{ versions: [ 1 ] }} }}
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
dynamic_batching {{ preferred_batch_size: [ 8, 16 ] max_queue_delay_microseconds: 2000 }}
model_warmup [
  {{ name: "one frame" batch_size: 1 inputs {{ key: "image" value: {{ data_type: TYPE_UINT8 dims: [ 1, 256, 256 ] random_data: true }} }} }},
  {{ name: "eight frames" batch_size: 8 inputs {{ key: "image" value: {{ data_type: TYPE_UINT8 dims: [ 1, 256, 256 ] random_data: true }} }} }}
]
optimization {{ execution_accelerators {{ cpu_execution_accelerator: [ {{ name: "openvino" }} ] }} }}
parameters {{ key: "weights_sha256" value: {{ string_value: "{digest}" }} }}
parameters {{ key: "evidence" value: {{ string_value: "real" }} }}
"""

_CARD = """\
# muscle_segmentation, version 1

Aponeuroses, fascicles and the muscle belly in longitudinal B-mode ultrasound of pennate leg muscles (gastrocnemius, vastus lateralis
and alike). {remark}
Input `image` uint8 [B, 1, 256, 256]: the scanned sector letterboxed by `service.core.preprocess` (0 in the padding, at least 1 in the
sector). Output `masks` uint8 [B, 3, 256, 256]: probability x 255 of {labels}; 0 in the padding. Standardisation is inside the graph.

- Weights: SHA-256 `{digest}` (`1/model.onnx`), {parameters:,} parameters, 1.14 GMAC a frame; fp32.
- Network: U-Net on 2 x 2 blocks (24-48-80-112 channels at 1/2 to 1/16), dilated convolutions at the bottom, sub-pixel head.
- Evidence: **real** (labelled frames of people){evidence_remark}.
- Not a medical device. A draft for a person to check.

## What it is not for
Transverse sections, tendon, nerve, vessels, other body regions, curved-array pictures, Doppler or elastography overlays; children or
disease (no labelled frames of either are known to be in the data); any decision without a person. Maps of a picture that is no muscle are
not guaranteed to be empty: the analysis that uses them must check. Fascicle labels are drawn lines of part of the visible fascicles, so the
map shows pieces, not every fascicle.

## Data
- DL_Track, github njcronin/DL_Track, commit 27bb364: 762 images, 551 with aponeurosis and 309 with fascicle masks, 98 with both, licence
  Apache-2.0. **Remark for a person to settle:** an OSF bundle of similar data carries a non-commercial data usage policy; the copy
  used is the GitHub one. No subject ids are published, so folds go by near-duplicate cluster and by device, not by person.
- Simulated: {simulated}
- Never trained on: the device group "{device}" (chosen beforehand), TimTrack, the validation clusters.
- Labels: masks resampled by area to 256; the belly is what lies between the two labelled aponeuroses, where both are labelled.

## Figures
On the 256 grid; 95 % intervals from a bootstrap over near-duplicate clusters (simulated: subjects). Failures count. Thresholds at 0.5.
*validation*: clusters of devices that were trained on; *held-out device*: "{device}".

{table}

Baselines: all-background scores aponeurosis IoU 0, fascicle F1 0, no line found, no angle answered; a constant angle (the training median)
scores as in its row. Aponeurosis IoU is capped near 0.75 by the thickness of the labels. One seed, one split: the spread
over seeds is not known.
{negatives}

## Rebuild
```
python -m training.muscle_segmentation.train --data DLTRACK --out RUN --steps {steps} {extra}
python -m training.muscle_segmentation.evaluate --data DLTRACK --run RUN
python -m training.muscle_segmentation.export --run RUN --to model_repository
```
Schedule: {schedule}. Dependencies in `training/requirements.txt`.
"""

_SIMULATED = """`simulator/` of this repository, {share:.0%} of every batch, other seeds than in the tables below; frames without a
  muscle (probe in air, speckle, layers, vessels, bone) among them."""

_ROWS = (
    ("images (clusters)", "images"),
    ("aponeurosis IoU", "aponeurosis_iou"),
    ("centre-line error, median, px", "line_error_pixels_median"),
    ("labelled lines found", "lines_found"),
    ("both lines within 3 px", "both_lines_within_3_pixels"),
    ("muscle belly IoU", "belly_iou"),
    ("fascicle F1 at 2 px", "fascicle_f1_at_2_pixels"),
    ("fragment angle MAE, deg", "angle_mae_deg"),
    ("constant angle MAE, deg", "constant_angle_mae_deg"),
    ("images with an angle", "angle_answered"),
)
_COLUMNS = (
    ("real: validation", "validation"),
    ("real: held-out device", "held_out_device"),
    ("simulated: new subjects", "simulated_subjects"),
    ("simulated: new devices", "simulated_devices"),
)


def triton_config(digest: str) -> str:
    """config.pbtxt for the exported weights."""
    return _CONFIG.format(digest=digest)


def model_card(facts: Mapping[str, Any], tables: Mapping[str, Any]) -> str:
    """model_card.md from what training and evaluation wrote."""
    schedule = facts["schedule"]
    share = schedule["simulated_share"]
    without = tables.get("simulated_without_muscle")
    negatives = (
        f"\nOf {without['images']} simulated frames without a muscle, {without['share_of_images_with_belly_over_5_percent']:.0%} got a "
        "belly of more than 5 % of the frame. No real picture without a muscle was scored."
        if without
        else ""
    )
    return _CARD.format(
        remark=facts["remark"],
        labels="aponeurosis, fascicle, muscle_belly, in this order",
        digest=facts["digest"],
        parameters=facts["parameters"],
        evidence_remark=", with simulated frames added in training" if share else "",
        simulated=_SIMULATED.format(share=share) if share else "none.",
        device=HELD_OUT_DEVICE,
        table=_table(tables),
        negatives=negatives,
        steps=facts["steps"],
        extra="" if share else "--simulated-frames 0",
        schedule=", ".join(f"{name} {value}" for name, value in schedule.items()),
    )


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
