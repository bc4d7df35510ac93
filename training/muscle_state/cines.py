"""Whole cines as the service reads them: `python -m training.muscle_state.cines --output FILE`.

Two seconds of each of 96 simulated people, written as DICOM in JPEG, opened by the service's reader and analysed with the served
networks. A person is seen in one short stretch of a course, so that the band holds nearly all of its frames or nearly none: what
it holds of some few cines says little.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from service.adapters.cine_decoder import FileCineReader
from service.core.analyses.muscle_architecture import MODEL as SEGMENTATION
from service.core.analyses.muscle_state import MODEL, MuscleState
from service.core.findings import Finding
from simulator.calf_in_motion import CalfStatesTruth
from simulator.write import simulate
from training.muscle_state.people import CINE_PEOPLE, STATES
from training.muscle_state.scores import spread
from training.onnx_networks import OnnxNetworks

#: Two seconds.
_FRAMES = 50
#: Of the truth file, and what it is multiplied by to be in the report's unit.
_TRUTHS = {
    "joint_angle": ("joint_angle_deg", 1.0),
    "activity_gastrocnemius": ("activity_gastrocnemius", 100.0),
    "activity_soleus": ("activity_soleus", 100.0),
    "joint_moment": ("joint_moment_nm", 1.0),
}


def main() -> None:
    """Make, analyse and judge each cine; write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--people", type=int, default=len(CINE_PEOPLE), help="of those that are set aside, the first so many")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    arguments = parser.parse_args()
    networks = open_networks(arguments.repository)
    reader = FileCineReader()
    try:
        people = {seed: of_person(seed, reader, networks) for seed in CINE_PEOPLE[: arguments.people]}
    finally:
        reader.close()
    found = summary(people)
    arguments.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found["states"], indent=1))


def open_networks(repository: Path) -> OnnxNetworks:
    """Those of the analysis, as served, in ONNX Runtime."""
    models = (SEGMENTATION, MODEL)
    return OnnxNetworks.opened({one.model_name: repository / one.model_name / one.model_version / "model.onnx" for one in models})


def of_person(seed: int, reader: FileCineReader, networks: OnnxNetworks, frames: int = _FRAMES) -> dict[str, dict[str, float]]:
    """Of each state the share of frames whose truth lies in the band, the mean error and the mean truth; empty where refused."""
    with TemporaryDirectory() as folder:
        (path,) = simulate("calf-states", Path(folder), seed=seed, transfer_syntax="jpeg", number_of_frames=frames)
        truth = CalfStatesTruth.model_validate_json(path.with_suffix(".truth.json").read_text())
        with reader.open(path) as cine:
            findings = {one.name: one for one in MuscleState().analyse(cine, networks.infer, networks.describe)}
    true = {name: factor * np.array(getattr(truth, told)) for name, (told, factor) in _TRUTHS.items()}
    return {name: _judged(findings[name], true[name]) for name in STATES if name in findings}


def summary(people: Mapping[int, Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Over people, with 95 % of the mean over people drawn anew; and each person."""
    answered = [one for one in people.values() if one]
    return {
        "data": "simulated: two seconds of a calf through DICOM, JPEG and the service's analysis",
        "people": len(people),
        "answered": len(answered),
        "states": {name: _over([one[name] for one in answered]) for name in STATES},
        "each": {str(seed): dict(one) for seed, one in people.items()},
    }


def _judged(state: Finding, truth: npt.NDArray[np.float64]) -> dict[str, float]:
    """A frame that was not read lies outside."""
    if state.series is None:
        raise ValueError(f"{state.name} of a cine has no course over time")
    course, low, high = (np.array(line, np.float64) for line in (state.series.smoothed, state.series.low, state.series.high))
    return {
        "in_band": round(float(((low <= truth) & (truth <= high)).mean()), 3),
        "error": round(float(np.nanmean(course - truth)), 3),
        "truth": round(float(truth.mean()), 3),
    }


def _over(people: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """`r2_of_levels` is of the people's means over their cines: who does much, and who little."""
    held, errors, levels = (np.array([one[key] for one in people]) for key in ("in_band", "error", "truth"))
    return {
        "in_band": {key: round(value, 3) for key, value in asdict(spread(held)).items()},
        "people_with_under_half_in_band": int((held < 0.5).sum()),
        "median_absolute_error": round(float(np.median(np.abs(errors))), 2),
        "mean_error": {key: round(value, 2) for key, value in asdict(spread(errors)).items()},
        "r2_of_levels": round(float(1 - np.sum(errors**2) / np.sum((levels - levels.mean()) ** 2)), 3),
    }


if __name__ == "__main__":
    main()
