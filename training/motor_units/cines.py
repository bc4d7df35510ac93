"""The whole analysis on simulated DICOM cines with truth: `python -m training.motor_units.cines --cines DIR --models DIR`.

`sonomyo simulate motor-units -o DIR -n 10 --seed 400001` makes the cines. Networks learnt from velocity that a simulator drew;
here it is estimated from B-mode, which is noisier, and less so near the probe: this is what that costs. The height of a mean
twitch is told beside, as a share of the true one: in the middle of the unit, and of its whole territory. So is the area.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.adapters.cine_decoder import FileCineReader
from service.core.analyses.motor_units import MAPS, TRAINS, MotorUnits
from service.core.measure.motor_band import RATE_HZ
from service.core.measure.motor_maps import matched
from service.core.measure.motor_trains import within_band
from service.core.measure.motor_unit_trains import Unit
from service.core.measure.motor_velocity import moving_tissue
from simulator.motor_cine import MotorUnitsTruth
from simulator.motor_units import MOTOR_UNITS_VERSION, ActiveUnit, Scene, simulate_scene
from training.motor_units.baselines import truth_of
from training.motor_units.rivals import RESULTS, summary, tallies
from training.motor_units.scores import Score, UnitTrace, score
from training.onnx_networks import OnnxNetworks
from training.wrist_hand.results import keep

_MEMORY = 4 << 30


def main() -> None:
    """Analyse, score, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cines", type=Path, required=True, help="folder of the cines and their truth")
    parser.add_argument("--models", type=Path, default=Path("model_repository"), help="where training.motor_units.export wrote")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    paths = {model.model_name: arguments.models / model.model_name / "1" / "model.onnx" for model in (MAPS, TRAINS)}
    told = scored(sorted(arguments.cines.glob("*.dcm")), OnnxNetworks.opened(paths))
    keep(arguments.output, cines=told)


def scored(cines: Sequence[Path], networks: OnnxNetworks) -> dict[str, Any]:
    """Of all cines together, and each."""
    reader = FileCineReader(memory_bytes=_MEMORY, timeout_seconds=300, spares=0)
    scores, each, shares, areas = [], [], [], []
    try:
        for path in cines:
            scene, units = of_cine(path, networks, reader)
            found = scored_units(scene, units)
            scores.append(found)
            shares += heights(scene, units)
            areas += [float(other.mask.sum() / one.mask.sum()) for one, other in pairs_of(scene, units)]
            each.append({"cine": path.stem, "true": found.true, "found": found.found, "matched": len(found.pairs)})
            print(each[-1], flush=True)
    finally:
        reader.close()
    told = {"cines": len(cines), "simulator": MOTOR_UNITS_VERSION, "networks": summary(tallies(scores)), "each": each}
    shares_of_area = {"units": len(areas), "quartiles": np.quantile(areas, [0.25, 0.5, 0.75]).tolist()}
    return {
        **told,
        "height of the mean twitch, share of the true one": quartiles(shares),
        "area, share of the true one": shares_of_area,
    }


def of_cine(path: Path, networks: OnnxNetworks, reader: FileCineReader) -> tuple[Scene, Sequence[Unit]]:
    """What happens in a cine, and what the analysis finds in it."""
    seed = MotorUnitsTruth.model_validate_json(path.with_suffix(".truth.json").read_text(encoding="utf-8")).seed
    with reader.open(path) as cine:
        units = MotorUnits().units(moving_tissue(cine), networks.infer)
        return simulate_scene(seed, frames=cine.number_of_frames), units


def scored_units(scene: Scene, units: Sequence[Unit]) -> Score:
    """Against the truth; trains are compared where both are known."""
    found = [UnitTrace(unit.mask, np.nan_to_num(unit.twitch), unit.discharges_s) for unit in units]
    return score(truth_of(scene.units), found)


def heights(scene: Scene, units: Sequence[Unit]) -> list[tuple[float, float]]:
    """Of each matched unit the range of its mean twitch over the true one: in its middle, and the mean of its territory."""
    return [_height(scene, one, other) for one, other in pairs_of(scene, units)]


def pairs_of(scene: Scene, units: Sequence[Unit]) -> list[tuple[ActiveUnit, Unit]]:
    """True units with those found that were matched with them."""
    pairs = matched([unit.mask for unit in scene.units], [unit.mask for unit in units])
    return [(scene.units[one], units[other]) for one, other in pairs]


def quartiles(shares: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Over units."""
    middle, territory = np.quantile(np.array(shares), [0.25, 0.5, 0.75], axis=0).T.tolist()
    return {"units": len(shares), "quartiles in the middle": middle, "quartiles of the territory": territory}


def _height(scene: Scene, true: ActiveUnit, found: Unit) -> tuple[float, float]:
    known = Unit(true.mask, 1.0, within_band(true.twitch, RATE_HZ), true.discharges_s)
    share = float(np.ptp(found.mean_twitch()[1]) / np.ptp(known.mean_twitch()[1]))
    return share, share / float((true.territory.pattern() * scene.free)[true.mask].mean())


if __name__ == "__main__":
    main()
