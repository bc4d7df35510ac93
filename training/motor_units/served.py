"""The two networks of a model repository, in ONNX Runtime, as training and figures ask them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from service.core.analyses.analysis import ModelSpec
from service.core.analyses.motor_units import MAPS, TRAINS
from service.core.measure.motor_maps import Floats
from training.onnx_networks import OnnxNetworks

#: Velocity (T, H, W) mm/s to maps (14, H, W).
Maps = Callable[[Floats], Floats]
#: Traces (N, 10, T) of at least one unit to twitch trains and logits of discharges, each (N, T).
Trains = Callable[[Floats], tuple[Floats, Floats]]


def served_maps(models: Path) -> Maps:
    """Version 1 of the first network."""
    network = _opened(models, MAPS)

    def asked(velocity: Floats) -> Floats:
        (answer,) = network.infer(MAPS, [{MAPS.inputs[0].name: velocity[None, None]}])
        return np.asarray(answer[MAPS.outputs[0].name][0], np.float32)

    return asked


def served_trains(models: Path) -> Trains:
    """Version 1 of the second."""
    network = _opened(models, TRAINS)

    def asked(given: Floats) -> tuple[Floats, Floats]:
        (answer,) = network.infer(TRAINS, [{TRAINS.inputs[0].name: given}])
        twitch, logits = (np.asarray(answer[output.name], np.float32) for output in TRAINS.outputs)
        return twitch, logits

    return asked


def _opened(models: Path, model: ModelSpec) -> OnnxNetworks:
    return OnnxNetworks.opened({model.model_name: models / model.model_name / "1" / "model.onnx"})
