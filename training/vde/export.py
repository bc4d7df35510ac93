"""Put encoder and classifier into the model repository: `python -m training.vde.export --data COHORT --runs DIR`.

The encoder is trained on all people of the cohort; the classifier is calibrated on the folds of `training.vde.crossvalidate`:
what that has trained is not trained again. `--version 2` writes beside version 1, for shadow mode.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from service.core.analyses.myofascial_pain import CLASSIFIER, ENCODER, SHAPE
from training.exporting import configuration, digests_in, export, largest_difference
from training.vde.card import model_card
from training.vde.classify import Clips
from training.vde.crossvalidate import FOLDS, fold_features
from training.vde.data import load_cohort, runs_of
from training.vde.held_out import evaluate
from training.vde.model import VdeConfig
from training.vde.pretrain import METHOD_NAMES, METHODS, Schedule, encode, pretrain
from training.vde.served import ServedClassifier, ServedEncoder, calibrate, people_folds

_LARGEST_DIFFERENCE = 1e-4
_COMPARED = 12
_HERE = Path(__file__).parent


def main() -> None:
    """Train on everybody, calibrate, export, compare with torch, evaluate what was exported, write both folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the cohort")
    parser.add_argument("--runs", type=Path, required=True, help="where crossvalidate left its runs")
    parser.add_argument("--method", choices=sorted(METHODS), default="vde")
    parser.add_argument("--steps", type=int, default=Schedule().steps)
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--evidence", choices=("simulated", "real"), default="simulated", help="what the cohort is")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="cohorts whose people are in no training")
    parser.add_argument("--without", type=Path, nargs="*", default=[], help="folders of DICOM cines that show no trapezius")
    parser.add_argument("--title", default="crossvalidation", help="of what crossvalidate wrote, for the card")
    parser.add_argument("--to", type=Path, default=Path("model_repository"))
    arguments = parser.parse_args()
    config, schedule = VdeConfig(), Schedule(steps=arguments.steps)
    cohort = load_cohort(arguments.data, SHAPE)
    runs = runs_of(arguments.data, SHAPE, arguments.runs)
    everybody = np.ones(len(cohort.clips), np.bool_)
    encoder = pretrain(arguments.method, config, cohort, everybody, schedule, runs / f"{arguments.method}-{schedule.steps}-all")
    clips = Clips(encode(encoder, cohort.clips), cohort.video, cohort.subject, cohort.label)
    folds = people_folds(clips, FOLDS)
    features = fold_features(arguments.method, cohort, folds, config, schedule, runs)
    calibration = calibrate(features, clips, folds)
    classifier = ServedClassifier(clips, calibration=calibration)
    paths = [arguments.to / model.model_name / str(arguments.version) / "model.onnx" for model in (ENCODER, CLASSIFIER)]
    export(ServedEncoder(encoder).eval(), torch.from_numpy(cohort.clips[:2]), paths[0], inputs=["clip"], outputs=["latent"])
    answers = [output.name for output in CLASSIFIER.outputs]
    export(classifier.eval(), torch.from_numpy(clips.features[:2]), paths[1], inputs=["latent"], outputs=answers)
    some = np.random.default_rng(0).choice(len(cohort.clips), _COMPARED, replace=False)
    off = [
        largest_difference(ServedEncoder(encoder), paths[0], cohort.clips[some]),
        largest_difference(classifier, paths[1], clips.features[some]),
    ]
    if max(off) > _LARGEST_DIFFERENCE:
        raise SystemExit(f"ONNX Runtime differs from torch by {max(off):.1e}")
    facts = {
        "method": arguments.method,
        "method_name": METHOD_NAMES[arguments.method],
        "parameters": sum(p.numel() for p in encoder.parameters()),
        "people": len(clips.people()[0]),
        "steps": schedule.steps,
        "difference": max(off),
        "calibration": f"{calibration.slope:.3f} and {calibration.offset:.3f}",
        "evidence": arguments.evidence,
        "data": arguments.data.name,
    }
    figures = evaluate(paths[0], paths[1], arguments.held_out, arguments.without)
    written = arguments.runs / f"{arguments.title}.md"
    table = written.read_text(encoding="utf-8") if written.exists() else ""
    _write_folders(arguments.to, arguments.version, facts, figures, table)


def _write_folders(to: Path, version: int, facts: dict[str, object], figures: dict[str, object], table: str) -> None:
    for model in (ENCODER, CLASSIFIER):
        folder = to / model.model_name
        digests = digests_in(folder)
        statements = {"weights_sha256": digests[version], "evidence": facts["evidence"], "pretraining": facts["method_name"]}
        config = folder / "config.pbtxt"
        config.write_text(
            configuration(
                _HERE / f"{model.model_name}.pbtxt.template",
                config.read_text(encoding="utf-8") if config.exists() else "",
                list(digests),
                version,
                statements,
            )
        )
        (folder / "model_card.md").write_text(model_card(model.model_name, digests, facts, figures, table))
        print(f"{folder}: version {version}, SHA-256 {digests[version]}")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
