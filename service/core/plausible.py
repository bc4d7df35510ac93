"""Between which limits a number that a person enters can be true, by what it measures and in which unit.

Wide on purpose: they catch a slipped digit or another unit, and judge nothing.
"""

from collections.abc import Mapping

_LENGTH_MM = (0.0, 200.0)
#: The longest fascicles of a human muscle, those of the sartorius, are about half a metre long.
_FASCICLE_MM = (0.0, 600.0)
_LINE_DEG = (-90.0, 90.0)

_BY_NAME: Mapping[tuple[str, str], tuple[float, float]] = {
    ("thickness", "mm"): _LENGTH_MM,
    ("thickness_at_25_percent", "mm"): _LENGTH_MM,
    ("thickness_at_50_percent", "mm"): _LENGTH_MM,
    ("thickness_at_75_percent", "mm"): _LENGTH_MM,
    ("fascicle_length", "mm"): _FASCICLE_MM,
    ("pennation_angle", "deg"): _LINE_DEG,
    ("fascicle_angle", "deg"): _LINE_DEG,
    ("superficial_aponeurosis_angle", "deg"): _LINE_DEG,
    ("deep_aponeurosis_angle", "deg"): _LINE_DEG,
    ("pennation_excursion", "deg"): _LINE_DEG,
    ("thickness_excursion", "mm"): (-200.0, 200.0),
    ("fascicle_excursion", "mm"): (-600.0, 600.0),
    #: Ten lengths a second of the longest fascicle.
    ("shortening_velocity", "mm/s"): (0.0, 6000.0),
    ("echo_intensity", "1"): (0.0, 255.0),
    ("contraction_count", "1"): (0.0, 10_000.0),
    ("myofascial_pain_probability", "{ratio}"): (0.0, 1.0),
    ("joint_angle", "deg"): (-90.0, 90.0),
    #: More than the strongest contraction is possible: that of the day of calibration was not the strongest.
    ("activity", "%"): (0.0, 200.0),
    ("activity_gastrocnemius", "%"): (0.0, 200.0),
    ("activity_soleus", "%"): (0.0, 200.0),
    ("joint_moment", "N.m"): (-500.0, 500.0),
    #: Units of a slight contraction fire at 5 to 30 a second; no motor neurone of a person keeps up a hundred.
    ("motor_unit", "Hz"): (0.0, 100.0),
    ("motor_unit_count", "1"): (0.0, 1000.0),
    ("median_nerve_area", "mm2"): (0.0, 200.0),
    ("median_nerve_flattening", "{ratio}"): (1.0, 20.0),
}
#: Of what has no limits of its own.
_BY_UNIT: Mapping[str, tuple[float, float]] = {
    "%": (0.0, 100.0),
    "deg": (-180.0, 180.0),
    "mm": (-1000.0, 1000.0),
    "mm2": (0.0, 10_000.0),
    "{pixels}": (0.0, 100_000.0),
    "{ratio}": (0.0, 1000.0),
}
#: Of a thing that was found: none of it is 0, whatever the unit.
_NEVER_ZERO = frozenset(
    {
        "thickness",
        "thickness_at_25_percent",
        "thickness_at_50_percent",
        "thickness_at_75_percent",
        "fascicle_length",
        "median_nerve_area",
    }
)


def can_be_zero(name: str) -> bool:
    """Whether 0 can be a measurement of something that was found."""
    return name not in _NEVER_ZERO


def limits_of(name: str, unit: str | None) -> tuple[float, float] | None:
    """Lowest and highest plausible value, in `unit`; None where nothing is known."""
    unit = unit or "1"
    return _BY_NAME.get((name, unit)) or _BY_UNIT.get(unit)
