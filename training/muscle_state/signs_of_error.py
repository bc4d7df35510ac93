"""Does anything that is known when a cine is read tell whose states are off? `python -m training.muscle_state.signs_of_error`.

Whole cines of ten seconds, twenty frames each, of people whom nobody had looked at, through the service's own lines. Of each the
median error over the frames, and signs: what the network says of its own error, how it differs from itself on the mirrored
picture, from a ridge regression on geometry, from another network, and how far the person lies from those of training. The first
people choose the four signs that rank people best; what these are worth is told of the others.
"""

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats
from torch.nn import functional

from service.core.analyses.muscle_architecture import MODEL as SEGMENTATION
from service.core.analyses.muscle_state import gastrocnemius_pennation
from service.core.analyses.prepared import Prepared
from service.core.calf_lines import NoLines, find_calf_lines
from service.core.calf_patches import calf_patches
from service.core.cine import Calibration
from service.core.measure.calf_states import is_like_training
from service.core.measure.plane import scale_of
from service.core.preprocess import find_sector, model_input, place
from simulator.calf_in_motion import CalfStatesTruth, simulate_calf_states
from training.muscle_state.frames import Frames, load
from training.muscle_state.model import standardised_patches
from training.muscle_state.people import SPLITS, STATES
from training.muscle_state.scores import Values
from training.muscle_state.served import open_segmentation
from training.muscle_state.train import Network, ask, load_network
from training.muscle_state.trivial import ridge

FIRST, OTHERS = range(900_001, 900_065), range(900_101, 900_165)
FRAMES, REFERENCE_PEOPLE, _NEAREST, _CHOSEN, _DRAWS = 20, 400, 10, 4, 2000


@dataclass(frozen=True, slots=True)
class Reference:
    """What training saw of geometry (N, 3), lengths (N, 5), states (N, 4), and what the network makes of some of its pictures."""

    geometry: Values
    lengths: Values
    states: Values
    trunk: Values
    hidden: Values


def main() -> None:
    """Look at everybody, print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder with last.pt of the served network")
    parser.add_argument("--rival", type=Path, required=True, help="the same of another network, taught on the cohort")
    parser.add_argument("--data", type=Path, required=True, help="folder of training.muscle_state.frames")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("bench/results/muscle_state_signs.json"))
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.processes) as pool:
        everybody = list(pool.map(partial(seen, repository=arguments.repository), (*FIRST, *OTHERS)))
    cohort = tuple(SPLITS["cohort"].seeds)[:REFERENCE_PEOPLE]
    network, rival = (load_network(run)[0] for run in (arguments.run, arguments.rival))
    reference = reference_of(load(SPLITS["cohort"], arguments.data, people=cohort), network)
    rows = [row_of(frames, network, rival, reference) for frames in everybody if frames is not None]
    told = json.dumps(summary(rows), indent=1)
    arguments.out.write_text(told + "\n", encoding="utf-8")
    print(told)


def seen(seed: int, repository: Path) -> Frames | None:
    """A person's cine as the service reads it; `geometry` is measured: pennation and both thicknesses. None if hardly read."""
    cine, networks = simulate_calf_states(seed), open_segmentation(repository)
    chosen = np.linspace(0, cine.number_of_frames - 1, FRAMES).round().astype(int).tolist()
    pictures = [cine.make(index) for index in chosen]
    scale = cine.mm_per_pixel
    placement = place(find_sector([one.sector for one in pictures[:4]]))
    prepared = Prepared(placement, scale_of(Calibration(scale, scale, "simulator"), placement), iter(()))
    parts = []
    for number, picture in zip(chosen, pictures, strict=True):
        image = model_input(picture.sector, placement)
        (answer,) = networks.infer(SEGMENTATION, [{"image": image[None, None]}])
        masks = answer["masks"][0].astype(np.uint8, copy=False)
        lines = find_calf_lines(image, masks, placement)
        if isinstance(lines, NoLines):
            continue
        patches = calf_patches(picture.sector, placement.box, lines.rows, (scale, scale))
        pennation = gastrocnemius_pennation(number, image, masks, lines, prepared)
        if is_like_training(patches) and pennation is not None:
            geometry = np.array([pennation, *patches.scalars[:2]], np.float32)
            parts.append((patches.pixels, patches.scalars, targets_at(cine.truth, number), geometry))
    if len(parts) < FRAMES // 5:
        return None
    pixels, scalars, states, measured = (np.stack(part) for part in zip(*parts, strict=True))
    return Frames(pixels, scalars, states, measured, np.full(len(parts), seed))


def targets_at(truth: CalfStatesTruth, number: int) -> npt.NDArray[np.float32]:
    """(4,), as STATES says."""
    roots = np.sqrt([truth.activity_gastrocnemius[number], truth.activity_soleus[number]])
    return np.array([truth.joint_angle_deg[number], *roots, truth.joint_moment_nm[number]], np.float32)


def reference_of(frames: Frames, network: Network) -> Reference:
    """Of people that taught the network; a quarter of their pictures."""
    trunk, hidden = features(network, frames.where(np.arange(0, len(frames.person), 4)))
    geometry = np.column_stack([frames.geometry[:, 0], frames.scalars[:, :2]]).astype(np.float64)
    return Reference(geometry, frames.scalars.astype(np.float64), frames.targets.astype(np.float64), trunk, hidden)


def features(network: Network, frames: Frames) -> tuple[Values, Values]:
    """What the trunk sees (N, 96), and with the lengths what the answer is made of (N, 128)."""
    with torch.inference_mode():
        grey = standardised_patches(torch.from_numpy(frames.patches).float())
        seen_there = network.trunk(torch.cat([grey, network.places.expand(len(grey), -1, -1, -1)], 1)).mean((2, 3))
        head = network.head
        lengths = (torch.from_numpy(frames.scalars) - head.scalar_mean) / head.scalar_deviation
        hidden = functional.silu(head.hidden(torch.cat([seen_there, lengths], 1)))
    return seen_there.double().numpy(), hidden.double().numpy()


def row_of(frames: Frames, network: Network, rival: Network, reference: Reference) -> dict[str, float]:
    """Errors and signs of one person; `all` is the mean over the states, each in the standard deviation of the cohort."""
    unit, said = reference.states.std(0), ask(network, frames)
    mirrored = Frames(
        np.ascontiguousarray(frames.patches[..., ::-1]), frames.scalars, frames.targets, frames.geometry, frames.person
    )
    errors = np.median(np.abs(said.mean - frames.targets), 0)
    trunk, hidden = features(network, frames)
    near = np.sort(np.sqrt(((hidden[:, None] - reference.hidden[None]) ** 2).sum(-1)), 1)[:, :_NEAREST]
    straight = ridge(squared(reference.geometry), reference.states, squared(frames.geometry.astype(np.float64)))
    apart = {
        "the mirrored picture": ask(network, mirrored).mean,
        "ridge on measured geometry": straight,
        "ResNet-18": ask(rival, frames).mean,
    }
    middle = np.median(said.mean, 0)
    return {
        "person": float(frames.person[0]),
        **{f"error of {name}": float(one) for name, one in zip(STATES, errors, strict=True)},
        "error of all": float((errors / unit).mean()),
        "its own deviation of the angle": float(np.log(said.deviation[:, 0]).mean()),
        "its own deviations": float(np.log(said.deviation).mean()),
        **{f"away from {name}": float((np.median(np.abs(one - said.mean), 0) / unit).mean()) for name, one in apart.items()},
        "lengths unlike training's": float(np.median(distance(reference.lengths, frames.scalars.astype(np.float64)))),
        "trunk's features unlike training's": float(np.median(distance(reference.trunk, trunk))),
        "hidden features unlike training's": float(np.median(distance(reference.hidden, hidden))),
        "far from its nearest of training": float(np.median(near.mean(1))),
        "angle away from the middle": float(abs(middle[0] - reference.states[:, 0].mean())),
        "angle unlike pennation": -abs(float(stats.spearmanr(frames.geometry[:, 0], said.mean[:, 0]).statistic)),
    }


def squared(features_of: Values) -> Values:
    """(N, F) with all products."""
    first, second = np.triu_indices(features_of.shape[1])
    return np.column_stack([features_of, features_of[:, first] * features_of[:, second]])


def distance(known: Values, asked: Values, shrinkage: float = 0.1) -> Values:
    """Mahalanobis', squared (M,)."""
    spread = np.cov(known.T)
    inverse = np.linalg.pinv((1 - shrinkage) * spread + shrinkage * np.diag(np.diag(spread)))
    away = asked - known.mean(0)
    return np.asarray(np.einsum("ni,ij,nj->n", away, inverse, away))


def summary(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Rank correlations with the errors, of the first people for every sign, of the others for those that were chosen."""
    first, others = ([row for row in rows if row["person"] in people] for people in (FIRST, OTHERS))
    signs = [name for name in rows[0] if name != "person" and not name.startswith("error of ")]
    told = {name: _ranks(first, name) for name in signs}
    chosen = sorted(signs, key=lambda name: -told[name]["error of all"][0])[:_CHOSEN]
    return {
        "data": "simulated people",
        "people": [len(first), len(others)],
        "angle off by more than 10 degrees": sum(row["error of joint_angle"] > 10 for row in rows),
        "moment off by more than 30 N.m": sum(row["error of joint_moment"] > 30 for row in rows),
        "rank correlation, 95 % interval, first people": told,
        "rank correlation, 95 % interval, others": {name: _ranks(others, name) for name in chosen},
        "each": [{name: round(value, 4) for name, value in row.items()} for row in rows],
    }


def _ranks(rows: Sequence[dict[str, float]], sign: str) -> dict[str, list[float]]:
    drawn = np.random.default_rng(0).integers(0, len(rows), (_DRAWS, len(rows)))
    found = {}
    for error in ("error of joint_angle", "error of all"):
        pair = np.array([[row[sign], row[error]] for row in rows])
        again = [stats.spearmanr(*pair[one].T).statistic for one in drawn]
        found[error] = [round(float(one), 2) for one in (stats.spearmanr(*pair.T).statistic, *np.quantile(again, [0.025, 0.975]))]
    return found


if __name__ == "__main__":
    main()
