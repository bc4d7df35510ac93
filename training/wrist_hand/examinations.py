"""What the analysis makes of whole simulated examinations: `python -m training.wrist_hand.examinations --seeds 1301 1321`.

Each is written as DICOM, read as the service reads it, and answered by the exported network.
"""

import argparse
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from service.adapters.cine_decoder import FileCineReader
from service.core.analyses.wrist_hand import MODEL, WristHand
from service.core.findings import Finding
from service.core.wrist_planes import PLANES
from simulator.device import DeviceGroup
from simulator.wrist_examination import WristTruth, simulate_wrist
from simulator.write import write
from training.onnx_networks import OnnxNetworks

SERVED = Path("model_repository") / MODEL.model_name / "1" / "model.onnx"
_WITHIN = 0.1


def main() -> None:
    """Figures of some examinations, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=SERVED)
    parser.add_argument("--seeds", type=int, nargs=2, required=True, help="the first volunteer, and the first that is left out")
    parser.add_argument("--device-group", choices=("common", "held-out"), default="common")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    seeds = range(*arguments.seeds)
    print(json.dumps(examine(arguments.model, seeds, arguments.device_group, arguments.processes), indent=1))


def examine(model: Path, seeds: range, device_group: DeviceGroup = "common", threads: int = 1) -> dict[str, Any]:
    """Planes found, planes shown by a frame of another plane, and how far the nerve's area is off, over volunteers."""
    networks, reader = OnnxNetworks.opened({MODEL.model_name: model}), FileCineReader(spares=threads)

    def one(seed: int) -> dict[str, Any]:
        simulated = simulate_wrist(seed, device_group=device_group)
        with tempfile.TemporaryDirectory(prefix="sonomyo-wrist-") as folder:
            path = write(simulated, Path(folder), "explicit")
            with reader.open(path) as cine:
                findings = WristHand().analyse(cine, networks.infer, networks.describe)
        return compared(findings, simulated.truth)

    try:
        with ThreadPoolExecutor(threads) as pool:
            return summary(list(pool.map(one, seeds)))
    finally:
        reader.close()


def compared(findings: tuple[Finding, ...], truth: WristTruth) -> dict[str, Any]:
    """One examination against its truth."""
    planes = {str(finding.value): finding for finding in findings if finding.name == "standard_plane"}
    shown = {name: truth.plane[finding.evidence.frames[0] - 1] for name, finding in planes.items()}
    area, flattening = (_number(findings, name) for name in ("median_nerve_area", "median_nerve_flattening"))
    return {
        "found": len(planes),
        "wrong": sorted(name for name, truly in shown.items() if truly != name),
        "grade_a": sum(finding.flags[0] == "grade_a" for finding in planes.values()),
        "grade_c": sum(finding.flags[0] == "grade_c" for finding in planes.values()),
        "area_error": None if area is None else area / truth.median_nerve_area_mm2 - 1,
        "flattening_error": None if flattening is None else flattening / truth.median_nerve_flattening - 1,
    }


def _number(findings: tuple[Finding, ...], name: str) -> float | None:
    return next((float(str(finding.value)) for finding in findings if finding.name == name), None)


def summary(examinations: list[dict[str, Any]]) -> dict[str, Any]:
    """Over volunteers."""
    return {
        "volunteers": len(examinations),
        "planes": len(PLANES) * len(examinations),
        "planes_found": sum(one["found"] for one in examinations),
        "best_frames_of_another_plane": sum(len(one["wrong"]) for one in examinations),
        "best_frames_graded_a": sum(one["grade_a"] for one in examinations),
        "best_frames_graded_c": sum(one["grade_c"] for one in examinations),
        **_errors("nerve_area", [one["area_error"] for one in examinations]),
        **_errors("nerve_flattening", [one["flattening_error"] for one in examinations]),
    }


def _errors(of: str, all_errors: list[float | None]) -> dict[str, Any]:
    """How many were measured, how many are within a tenth, and how far off they are, per cent of the truth."""
    errors = np.array([error for error in all_errors if error is not None])
    size = np.abs(errors)
    return {
        f"{of}_measured": len(errors),
        f"{of}_within_10_percent": int((size <= _WITHIN).sum()),
        f"{of}_median_absolute_error_percent": round(100 * float(np.median(size)), 1) if len(errors) else None,
        f"{of}_largest_absolute_error_percent": round(100 * float(size.max()), 1) if len(errors) else None,
        f"{of}_mean_error_percent": round(100 * float(errors.mean()), 1) if len(errors) else None,
    }


if __name__ == "__main__":
    main()
