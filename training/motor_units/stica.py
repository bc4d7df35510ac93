"""Spatio-temporal independent components: maps and trains made independent at once, neither alone.

Stone, Porrill, Porter and Wilkinson, NeuroImage 2002, 15:407; our own code. Velocity X (pixels, frames) ~ U V^T is unmixed to
maps U W and trains V W^-T L, L a diagonal of free scales, so that alpha h_S + (1 - alpha) h_T is greatest: the mean log
likelihoods of a pixel and of a frame. Stone's density of maps is skewed, since what is active is a spot on even ground; here
that is the type IV logistic density, exp(a s) / (1 + exp(s))^(a + b), with its mode at 0: its left tail falls as exp(a s), its
right one as exp(-b s), and with a = b = 1 it is proportional to sech^2(s / 2), which is the density of trains.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

Doubles = npt.NDArray[np.float64]

_FAST_ROUNDS = 200
_ROUNDS = 150
_TOLERANCE = 1e-5
#: Only a step that goes much too far comes there.
_FARTHEST_LOG_SCALE = 6.0


@dataclass(frozen=True, slots=True)
class Logistic:
    """Density of a source, unscaled, for its scale is unmixed too: super-Gaussian, and skewed where the tails differ."""

    left: float = 1.0
    right: float = 1.0

    def log(self, source: Doubles) -> Doubles:
        """Log density but for a constant, of any shape."""
        moved = source + np.log(self.left / self.right)
        return np.asarray(self.left * moved - (self.left + self.right) * np.logaddexp(0, moved))

    def slope(self, source: Doubles) -> Doubles:
        """Derivative of the log density."""
        return np.asarray(self.left - (self.left + self.right) * special.expit(source + np.log(self.left / self.right)))


SYMMETRIC = Logistic()


@dataclass(frozen=True, slots=True)
class Unmixing:
    """What is maximised: maps (pixels, K) and trains (frames, K) are given, of which the product is velocity."""

    maps: Doubles
    trains: Doubles
    alpha: float
    of_maps: Logistic = SYMMETRIC
    of_trains: Logistic = SYMMETRIC

    def value_and_gradient(self, parameters: Doubles) -> tuple[float, Doubles]:
        """Of W (K x K, row by row) and then K logarithms of the trains' scales: less the likelihood, and its gradient."""
        number = self.maps.shape[1]
        unmixing, log_scales = parameters[: number**2].reshape(number, number), parameters[number**2 :]
        # Towards a singular W the likelihood of trains falls without end, so that no step is ever taken there but by overflow.
        sign, log_determinant = np.linalg.slogdet(unmixing)
        if sign == 0:
            return np.inf, np.zeros_like(parameters)
        inverse, scales = np.linalg.inv(unmixing).T, np.exp(log_scales)
        maps, trains = self.maps @ unmixing, self.trains @ inverse * scales
        steep = self.of_trains.slope(trains)
        pull = self.trains.T @ (steep * scales) / len(trains)
        of_space = self.of_maps.log(maps).sum() / len(maps) + log_determinant
        of_time = self.of_trains.log(trains).sum() / len(trains) - log_determinant + log_scales.sum()
        by_space = self.maps.T @ self.of_maps.slope(maps) / len(maps) + inverse
        by_time = -inverse @ pull.T @ inverse - inverse
        by_scales = (steep * trains).mean(0) + 1
        gradient = np.concatenate([(self.alpha * by_space + (1 - self.alpha) * by_time).ravel(), (1 - self.alpha) * by_scales])
        return -float(self.alpha * of_space + (1 - self.alpha) * of_time), -gradient

    def best(self) -> Doubles:
        """W (K, K), looked for from the identity, with the given trains scaled to a deviation of 1: these should be near."""
        number = self.maps.shape[1]
        log_scales = -np.log(np.maximum(self.trains.std(0), 1e-12))
        start = np.concatenate([np.eye(number).ravel(), log_scales])
        bounds = [(None, None)] * number**2 + [(one - _FARTHEST_LOG_SCALE, one + _FARTHEST_LOG_SCALE) for one in log_scales]
        options = {"maxiter": _ROUNDS, "gtol": _TOLERANCE}
        found = optimize.minimize(self.value_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        return np.asarray(found.x[: number**2]).reshape(number, number)


def spatial(maps: Doubles, trains: Doubles) -> tuple[Doubles, Doubles]:
    """Maps (pixels, K) that FastICA finds, and their trains (K, frames): where spatio-temporal unmixing begins."""
    ica = FastICA(n_components=maps.shape[1], whiten="unit-variance", max_iter=_FAST_ROUNDS, tol=1e-3, random_state=0)
    with warnings.catch_warnings():
        # A region of noise alone has no independent parts to converge to; what is found then scores low.
        warnings.simplefilter("ignore", ConvergenceWarning)
        ica.fit(maps)
    return maps @ ica.components_.T, ica.mixing_.T @ trains


def spatio_temporal(
    maps: Doubles, trains: Doubles, alpha: float, of_maps: Logistic = SYMMETRIC, of_trains: Logistic = SYMMETRIC
) -> tuple[Doubles, Doubles]:
    """Of maps (pixels, K) and trains (K, frames) others with the same product, independent in space and time."""
    first, then = spatial(maps, trains)
    # Spots are upwards, for a skewed density.
    scale = first.std(0) * np.sign(first[np.abs(first).argmax(0), np.arange(first.shape[1])])
    first, then = first / scale, then * scale[:, None]
    given = Unmixing(np.asarray(first, np.float64), np.asarray(then.T, np.float64), alpha, of_maps, of_trains)
    unmixing = given.best()
    return given.maps @ unmixing, np.linalg.solve(unmixing, then)
