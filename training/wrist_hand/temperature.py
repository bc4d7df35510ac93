"""What plane logits are divided by so that probabilities say how often they are right (Guo 2017)."""

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional


def fitted_temperature(logits: npt.NDArray[np.float32], plane: npt.NDArray[np.integer]) -> float:
    """Of logits (N, 16) and planes (N,), those of the validation volunteers."""
    given, wanted = torch.from_numpy(logits), torch.from_numpy(plane.astype(np.int64))

    def surprise(log_temperature: float) -> float:
        return float(functional.cross_entropy(given / float(np.exp(log_temperature)), wanted))

    return float(np.exp(minimize_scalar(surprise, bounds=(-2.0, 2.0), method="bounded").x))


def probabilities(logits: npt.NDArray[np.float32], temperature: float = 1.0) -> npt.NDArray[np.float32]:
    """(N, 16) of logits (N, 16)."""
    return np.asarray(torch.softmax(torch.from_numpy(logits) / temperature, 1).numpy())
