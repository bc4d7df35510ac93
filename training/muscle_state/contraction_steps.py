"""Activity against the step of a real contraction: `python -m training.muscle_state.contraction_steps --run RUN --out FILE`.

TimTrack's first set shows vastus lateralis of both legs at ordered steps of a contraction (no activity was published for them).
Asked are the networks of one muscle, each and their mean; beside it stands the pennation that the architecture analysis measures
in the same pictures: to the deep line, as the service reports it, and to the superficial one, as TimTrack has it. A picture in
which one of them says nothing is left out for all, and counted. Rank correlation (Spearman) within each leg.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from bench.accuracy import analyse
from bench.labelled_images import StepPicture, contraction_steps, one_frame, shared_folder
from service.core.analyses.muscle_architecture import MODEL as SEGMENTATION
from service.core.calf_lines import NoLines, find_muscle_lines
from service.core.calf_patches import SCALARS, calf_patches
from service.core.cine import Pixels
from service.core.preprocess import find_sector, model_input, place
from training.muscle_state.frames import Frames
from training.muscle_state.one_muscle import ANGLE, activities, load_networks
from training.muscle_state.people import STATES
from training.muscle_state.scores import Values
from training.muscle_state.served import open_segmentation
from training.muscle_state.train import Network
from training.onnx_networks import OnnxNetworks


@dataclass(frozen=True, slots=True)
class Leg:
    """Of one leg: how many of its pictures both answered, and the rank correlations with the step."""

    leg: str
    pictures: int
    answered: int
    activity: float
    pennation: float
    pennation_to_superficial: float
    #: With the angle held at its mean in training: what the patch says alone.
    activity_of_patch: float
    #: Of each network by itself.
    activity_of_each: tuple[float, ...]


_RANKED = ("activity", "pennation", "pennation_to_superficial", "activity_of_patch")


def main() -> None:
    """Ask, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of training.muscle_state.one_muscle")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--out", type=Path, default=Path("bench/results/contraction_steps.json"))
    arguments = parser.parse_args()
    data = shared_folder()
    if data is None:
        raise SystemExit("The labelled pictures are not here: set SONOMYO_SHARED to their folder.")
    states = load_networks(arguments.run)
    found = told(of_legs(list(contraction_steps(data)), states, open_segmentation(arguments.repository)))
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(legs_table(found))


def told(legs: Sequence[Leg]) -> dict[str, Any]:
    """Each leg, and medians over legs."""
    of_each = np.nanmedian([leg.activity_of_each for leg in legs], axis=0).tolist()
    medians = {name: float(np.nanmedian([getattr(leg, name) for leg in legs])) for name in _RANKED}
    return {"legs": [asdict(leg) for leg in legs], "median": {**medians, "activity_of_each": of_each}}


def of_legs(pictures: Sequence[StepPicture], states: Sequence[Network], networks: OnnxNetworks) -> list[Leg]:
    """Each leg of each subject, in order; `states` are the networks of one muscle."""
    by_leg: dict[str, list[StepPicture]] = defaultdict(list)
    for picture in pictures:
        by_leg[f"{picture.subject} {picture.leg}"].append(picture)
    return [_leg(name, some, states, networks) for name, some in sorted(by_leg.items())]


def legs_table(found: Mapping[str, Any]) -> str:
    """For people to read."""
    heads = ["leg", "pictures answered", "activity", "measured pennation (deep line)", "to the superficial line"]
    heads += ["activity, angle held", "activity of each network"]
    lines = [f"|{'|'.join(heads)}|", "|---" * len(heads) + "|"]
    lines += [f"|{leg['leg']}|{leg['answered']} of {leg['pictures']}|{_ranks(leg)}|" for leg in found["legs"]]
    lines.append(f"|median of {len(found['legs'])} legs||{_ranks(found['median'])}|")
    return "\n".join(lines)


def _ranks(one: Mapping[str, Any]) -> str:
    of_each = ", ".join(f"{rank:.2f}" for rank in one["activity_of_each"])
    return "|".join([*(f"{one[name]:.2f}" for name in _RANKED), of_each])


def _leg(name: str, pictures: Sequence[StepPicture], states: Sequence[Network], networks: OnnxNetworks) -> Leg:
    rows = [(one.step, *said) for one in pictures if (said := _asked(one.image, states, networks)) is not None]
    steps, *columns = np.array(rows, np.float64).reshape(-1, 1 + len(_RANKED) + len(states)).T
    ranks = [_ranked(steps, column) for column in columns]
    of_all = dict(zip(_RANKED, ranks, strict=False))
    return Leg(leg=name, pictures=len(pictures), answered=len(rows), **of_all, activity_of_each=tuple(ranks[len(_RANKED) :]))


def _asked(image: Pixels, states: Sequence[Network], networks: OnnxNetworks) -> tuple[float, ...] | None:
    """As `_RANKED` says, angles in degrees, then the activity of each network; None where one of them says nothing."""
    values = {finding.name: finding.value for finding in analyse(one_frame(image), networks.infer)}
    angles = [values.get(name) for name in ("pennation_angle", "fascicle_angle", "superficial_aponeurosis_angle")]
    known = [angle for angle in angles if isinstance(angle, float)]
    placement = place(find_sector([image]))
    given = [{"image": model_input(image, placement)[None, None]}]
    (answer,) = networks.infer(SEGMENTATION, given)
    lines = find_muscle_lines(answer["masks"][0].astype(np.uint8, copy=False), placement)
    if isinstance(lines, NoLines) or len(known) < len(angles):
        return None
    pennation, fascicle, superficial = known
    try:
        patches = calf_patches(image, placement.box, lines, None, muscles=1)
    except ValueError:
        return None
    angle = abs(fascicle - superficial)
    usual = float(states[0].head.scalar_mean[ANGLE])
    each, of_patch = (activities(states, _frames(patches.pixels, one))[:, 0] for one in (angle, usual))
    return float(each.mean()), pennation, angle, float(of_patch.mean()), *each.tolist()


def _frames(pixels: Pixels, angle_deg: float) -> Frames:
    nothing, scalars = np.zeros((1, len(STATES)), np.float32), np.zeros((1, len(SCALARS)), np.float32)
    scalars[0, ANGLE] = angle_deg
    return Frames(pixels[None], scalars, nothing, nothing, np.zeros(1, np.int64))


def _ranked(steps: Values, values: Values) -> float:
    return float(stats.spearmanr(steps, values).statistic) if len(steps) > 2 else float("nan")


if __name__ == "__main__":
    main()
