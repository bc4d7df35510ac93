"""What needs no training: stICA, spatial ICA and PCA in regions, deflation of velocity, and an oracle that knows the territories.

After what is published, not the published code: regions and components as in Rohlen et al. 2020 (25 regions of 10 x 10 mm, in
each spatio-temporal ICA after Stone et al. 2002, see `stica`), deflation in the spirit of their velBSS. Each gives candidates
with a score; how high it must be is chosen on validation, as were, of the ICAs, the weight of space, the densities, the number of
components, the score and the height at which a map is cut. Independence in space alone did as well there, hence both.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from service.core.measure.motor_maps import Mask
from service.core.measure.motor_trains import within_band
from simulator.motor_units import FRAME_RATE_HZ, ActiveUnit, MotorSequence
from training.motor_units.firings import READING, Reading
from training.motor_units.scores import UnitTrace, Values
from training.motor_units.stica import Doubles, Logistic, spatio_temporal

_REGION, _STEP = 16, 12  # pixels: 10 mm, and five regions a side
_REDUCED, _COMPONENTS = 40, 25
#: A singular value so many times the fortieth is more than noise and than what is left of twitches that change their shape.
_ABOVE_NOISE = 4.0
#: Of stICA: the weight of space (`training.motor_units.rivals --weights`), and the density of maps: spots on even ground.
ALPHA = 0.5
_SPOTS = Logistic(2.0, 0.5)
#: A component's territory is what is above this share of its peak; a deflated unit's, which is smoothed, above half.
_COMPONENT_LEVEL, _DEFLATED_LEVEL = 0.4, 0.5
_DEFLATIONS = 40
_REFINEMENTS = 4
_REACH = 9  # pixels round a peak of energy in which a deflated unit lies
_LEAST_PIXELS = 5
#: Two candidates are one unit when their trains are so alike or so much of the smaller territory is in common.
_SAME_TRAIN, _SAME_PLACE = 0.8, 0.5
_MOST_CANDIDATES = 60


@dataclass(frozen=True, slots=True)
class Candidate:
    """Perhaps a unit; the higher the score the likelier."""

    mask: Mask  # (H, W)
    twitch: Values  # (T,)
    score: float


Baseline = Callable[[Values], list[Candidate]]
#: Maps (pixels, K) and trains (K, T) to others with the same product.
Rotation = Callable[[Doubles, Doubles], tuple[Doubles, Doubles]]


def regional_stica(velocity: Values, alpha: float = ALPHA) -> list[Candidate]:
    """Maps and trains independent at once in each region of (T, H, W) mm/s; alpha is the weight of space."""
    return _regional(velocity, lambda maps, trains: spatio_temporal(maps, trains, alpha, _SPOTS))


def regional_ica(velocity: Values) -> list[Candidate]:
    """Independent maps in each region, whatever their trains: the same with all weight on space, and a symmetric density."""
    return _regional(velocity, lambda maps, trains: spatio_temporal(maps, trains, 1.0))


def regional_pca(velocity: Values) -> list[Candidate]:
    """Orthogonal maps in each region: the same without the rotation."""
    return _regional(velocity, lambda maps, trains: (maps, trains))


def deflation(velocity: Values) -> list[Candidate]:
    """Where most moves is a unit: its map and train by turns, then both are taken away, and so on."""
    left = within_band(velocity, FRAME_RATE_HZ)
    background = float(np.median(left.var(0)))
    found = []
    for _ in range(_DEFLATIONS):
        energy = ndimage.uniform_filter(left.var(0), 3, mode="nearest")
        row, column = divmod(int(energy.argmax()), energy.shape[1])
        part = (slice(max(0, row - _REACH), row + _REACH + 1), slice(max(0, column - _REACH), column + _REACH + 1))
        inside = left[:, part[0], part[1]].reshape(len(left), -1)
        blob, train = _alternating(inside, (energy[part].shape[0], energy[part].shape[1]), int(energy[part].argmax()))
        if blob.sum() >= _LEAST_PIXELS:
            mask = np.zeros(energy.shape, np.bool_)
            mask[part] = blob
            found.append(Candidate(mask, train, float(energy[row, column] / background)))
        weight = inside.T @ train / max(float(train @ train), 1e-12)
        left[:, part[0], part[1]] -= np.outer(train, weight).reshape(len(left), *energy[part].shape)
    return distinct(found)


def oracle(sequence: MotorSequence) -> list[UnitTrace]:
    """The true territories, each with the mean velocity in it: what no unmixing can add to a perfect segmentation."""
    filtered = within_band(sequence.velocity, FRAME_RATE_HZ)
    trains = [(unit.mask, filtered[:, unit.mask].mean(1)) for unit in sequence.units]
    return [UnitTrace(mask, train, READING.firings(train, FRAME_RATE_HZ)) for mask, train in trains]


BASELINES: dict[str, Baseline] = {
    "stICA": regional_stica,
    "spatial ICA": regional_ica,
    "deflation": deflation,
    "PCA": regional_pca,
}


def accepted(candidates: list[Candidate], least_score: float, reading: Reading = READING) -> list[UnitTrace]:
    """Those whose score is high enough, with their discharges."""
    sure = [one for one in candidates if one.score >= least_score]
    return [UnitTrace(one.mask, one.twitch, reading.firings(one.twitch, FRAME_RATE_HZ)) for one in sure]


def truth_of(units: tuple[ActiveUnit, ...]) -> list[UnitTrace]:
    """As scores take it, the trains filtered as velocities are."""
    return [UnitTrace(unit.mask, within_band(unit.twitch, FRAME_RATE_HZ), unit.discharges_s) for unit in units]


def distinct(candidates: list[Candidate]) -> list[Candidate]:
    """The best first, each unit once: regions overlap, and a component may be split."""
    kept: list[Candidate] = []
    for one in sorted(candidates, key=lambda candidate: -candidate.score):
        if len(kept) < _MOST_CANDIDATES and not any(_is_same(one, other) for other in kept):
            kept.append(one)
    return kept


def _is_same(one: Candidate, other: Candidate) -> bool:
    common = int((one.mask & other.mask).sum())
    if not common:
        return False
    if common >= _SAME_PLACE * min(int(one.mask.sum()), int(other.mask.sum())):
        return True
    return bool(abs(np.corrcoef(one.twitch, other.twitch)[0, 1]) >= _SAME_TRAIN)


def _regional(velocity: Values, rotate: Rotation) -> list[Candidate]:
    filtered = within_band(velocity, FRAME_RATE_HZ)
    return distinct([candidate for part in _regions(filtered.shape[1:]) for candidate in _in_region(filtered, part, rotate)])


def _regions(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    for top in range(0, shape[0] - _REGION + 1, _STEP):
        for left in range(0, shape[1] - _REGION + 1, _STEP):
            yield slice(top, top + _REGION), slice(left, left + _REGION)


def _in_region(filtered: Values, part: tuple[slice, slice], rotate: Rotation) -> Iterator[Candidate]:
    inside = filtered[:, part[0], part[1]].reshape(len(filtered), -1).T.astype(np.float64)  # (pixels, T)
    maps, trains = rotate(*_components(inside))
    for shown, train in zip(maps.T.reshape(-1, _REGION, _REGION), trains, strict=True):
        sign = np.sign(shown.flat[np.abs(shown).argmax()])
        blob = _blob(sign * shown, _COMPONENT_LEVEL)
        if blob.sum() >= _LEAST_PIXELS:
            mask = np.zeros(filtered.shape[1:], np.bool_)
            mask[part] = blob
            # How much the territory moves, as far as it moves slowly enough for twitches.
            yield Candidate(mask, sign * train, float(np.linalg.norm(shown[blob]) * train.std()) * _slow_share(train))


def _components(inside: Doubles) -> tuple[Doubles, Doubles]:
    """Principal maps (pixels, K), as large as their parts of (pixels, T), and their trains (K, T) of norm 1."""
    squares, maps = np.linalg.eigh(inside @ inside.T)
    sizes, maps = np.sqrt(np.maximum(squares[::-1], 1e-12)), maps[:, ::-1]
    # Components of noise are left out: 256 pixels do not bear 25 independent maps, and unmixing falls apart into single pixels.
    number = min(_COMPONENTS, max(1, int((sizes[:_REDUCED] > _ABOVE_NOISE * sizes[_REDUCED]).sum())))
    return maps[:, :number] * sizes[:number], maps[:, :number].T @ inside / sizes[:number, None]


def _blob(shown: Values, level: float) -> Mask:
    """What is above so much of the peak and hangs together with it."""
    labels, _ = ndimage.label(shown > level * shown.max())
    return np.asarray(labels == labels.flat[int(shown.argmax())])


def _slow_share(train: Values) -> float:
    """Of a train's power, what is below 16 Hz: twitches are, half of noise is not."""
    power = np.abs(np.fft.rfft(train)) ** 2
    return float(power[np.fft.rfftfreq(len(train), 1 / FRAME_RATE_HZ) < 16].sum() / power.sum())


def _alternating(inside: Values, shape: tuple[int, int], peak: int) -> tuple[Mask, Values]:
    """Territory and train of what moves at the peak, (T, pixels) being all that moves round it."""
    train = inside[:, peak]
    for _ in range(_REFINEMENTS):
        weight = (inside.T @ train / max(float(train @ train), 1e-12)).reshape(shape)
        blob = _blob(ndimage.uniform_filter(weight, 3, mode="nearest"), _DEFLATED_LEVEL)
        chosen = np.where(blob, np.maximum(weight, 0), 0).ravel()
        train = inside @ chosen / max(float(chosen @ chosen), 1e-12)
    return blob, train
