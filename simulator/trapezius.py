"""The upper trapezius along its fibres, four short cines a person: nodules, stiffness and disorder rise with myofascial pain.

Person and site come first, apart from any picture, so that what can be known at best is measured on thousands of them. Label
and scanner, fat, side and movement are independent. A person's severity is normal with unit variance round a mean that depends on
the label, so healthy people have nodules too, and some people in pain have none.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from simulator.bmode import display, received, reference_level, shown
from simulator.cine import Scan, SimulatedCine, SimulatedFrame, Truth
from simulator.device import Device, DeviceGroup, draw_device
from simulator.subject import ACROSS_MM, ALONG_MM, Echoes, Fields, Floats, draw_echoes, draw_fields
from simulator.tissue import SKIN_MM, Grid, fat, sample, scatterers

Label = Literal["mps", "control"]
SiteType = Literal["active", "latent", "control"]
Side = Literal["left", "right"]

#: Changes whenever equal seeds would give other pixels.
TRAPEZIUS_VERSION = "1.0.0"
SITES_A_PERSON = 4
GRID = Grid(rows=240, columns=200, row_mm=0.13, column_mm=0.2)
_MM_PER_PIXEL = 0.11
#: Of 24 people with consecutive numbers 13 are in pain, as in the cohort that the project is named after.
_PEOPLE, _IN_PAIN, _STRIDE = 24, 13, 7
#: Means of the severity of people in pain and of others are so far apart, in standard deviations.
_SEVERITY_APART = 1.7
_SITE_SPREAD = 0.6
_ACTIVE_MORE = 0.3
#: Vibration in a nodule is smaller by this share at full severity (Sikdar 2009 measured 27 % in the mean).
_STIFFEST = 0.45
_MOST_DISORDER = 0.5
_EDGE = 0.15
#: Fibres in full disorder leave their course by so much (standard deviation), anew after some ten cells, mm.
_ASTRAY_MM = 1.2
_ASTRAY_CELL_MM = 0.5
#: Fasciae of a muscle along its fibres answer less than aponeuroses of a pennate one: here they do not blind the display.
_FASCIA = 0.3


class Nodule(BaseModel):
    """An ellipse in the muscle at rest, in mm from the sector's left upper corner before it is mirrored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    centre_mm: tuple[float, float]
    axes_mm: tuple[float, float]
    hypoechoic_db: float
    #: By so much less than the muscle round it the nodule is strained.
    strain_reduction: float

    @property
    def area_cm2(self) -> float:
        """Of the ellipse."""
        return float(np.pi / 4 * self.axes_mm[0] * self.axes_mm[1] / 100)


class Signs(BaseModel):
    """What one place of one person's muscle shows, as far as it tells anything about pain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: Label
    site_type: SiteType
    side: Side
    #: 0 for fibres in order, 1 for none.
    disorder: float
    nodules: tuple[Nodule, ...]
    #: Vessels and the like: dark, neither stiff nor disordered, as frequent in pain as without.
    distractors: tuple[Nodule, ...]


class Site(Signs):
    """A place and its signs."""

    person: int
    number: int


class TrapeziusTruth(Truth, Signs):
    """What is known of one cine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layers:
    """Anatomy under the probe, mm and degrees."""

    fat_mm: float
    thickness_mm: float
    fascia_mm: float
    tilt_deg: float
    fibre_deg: float
    deep_fibre_deg: float
    bump_mm: float
    bump_wavelength_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Movement:
    """How probe and tissue move during a cine: amplitudes, frequencies in Hz, phases."""

    sway_mm: float
    sway_hz: float
    tilt_deg: float
    tilt_hz: float
    breathing_mm: float
    compression: float
    compression_hz: float
    phases: tuple[float, float, float, float]

    def at(self, seconds: float) -> tuple[float, float, float, float]:
        """Shift along the probe and in depth (mm), tilt (radians), share by which the tissue is compressed."""
        turn = 2 * np.pi * seconds
        along = self.sway_mm * np.sin(self.sway_hz * turn + self.phases[0])
        tilt = np.radians(self.tilt_deg) * np.sin(self.tilt_hz * turn + self.phases[1])
        depth = self.breathing_mm * np.sin(0.25 * turn + self.phases[2])
        compression = self.compression * (0.5 - 0.5 * np.cos(self.compression_hz * turn + self.phases[3]))
        return float(along), float(depth), float(tilt), float(compression)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Muscle:
    """All that a frame is made from."""

    site: Site
    layers: _Layers
    echoes: Echoes
    fields: Fields
    #: A site's own piece of the person's endless texture, mm.
    offset_mm: tuple[float, float]


TrapeziusCine = SimulatedCine[SimulatedFrame, TrapeziusTruth]


def draw_site(person: int, number: int) -> Site:
    """Site 0 and 1 are on the right, 2 and 3 on the left; the same numbers give the same site."""
    label = label_of(person)
    random = np.random.default_rng([person, 10])
    severity = random.normal(_SEVERITY_APART / 2 if label == "mps" else -_SEVERITY_APART / 2)
    active = set(random.choice(SITES_A_PERSON, int(random.integers(1, SITES_A_PERSON)), replace=False).tolist())
    site_type: SiteType = "control" if label == "control" else "active" if number in active else "latent"
    more = {"active": _ACTIVE_MORE, "latent": -_ACTIVE_MORE, "control": 0.0}[site_type]
    own = np.random.default_rng([person, 11, number])
    share = float(1 / (1 + np.exp(-1.5 * (severity + more + own.normal(0, _SITE_SPREAD)))))
    count = min(3, int(own.poisson(0.2 + 2.0 * share)))
    return Site(
        person=person,
        number=number,
        label=label,
        site_type=site_type,
        side="right" if number < SITES_A_PERSON // 2 else "left",
        disorder=round(_MOST_DISORDER * share * float(own.uniform(0.5, 1.0)) + float(own.uniform(0, 0.1)), 4),
        nodules=tuple(_nodule(own, place, count, share) for place in range(count)),
        distractors=tuple(_distractor(own) for _ in range(int(own.integers(0, 2)))),
    )


def label_of(person: int) -> Label:
    """Which of any 24 consecutive people are in pain."""
    return "mps" if (_STRIDE * person) % _PEOPLE < _IN_PAIN else "control"


def simulate_trapezius(
    seed: int, number_of_frames: int | None = None, *, device_group: DeviceGroup = "common", mm_per_pixel: float = _MM_PER_PIXEL
) -> TrapeziusCine:
    """One cine of a few seconds (or of so many frames); seeds 1 to 4 are the four sites of person 1, and so on."""
    person, number = (seed - 1) // SITES_A_PERSON + 1, (seed - 1) % SITES_A_PERSON
    site, device = draw_site(person, number), draw_device(person, device_group)
    random = np.random.default_rng([person, 12])
    frame_time_ms = float(random.choice([80.0, 66.7, 50.0]))
    layers, echoes, fields = _draw_layers(random), draw_echoes(random), draw_fields(random)
    own = np.random.default_rng([person, 13, number])
    muscle = _Muscle(site=site, layers=layers, echoes=echoes, fields=fields, offset_mm=(own.uniform(0, 80), own.uniform(0, 120)))
    movement = _draw_movement(own)
    frames = number_of_frames or round(own.uniform(3200, 4500) / frame_time_ms)
    white = reference_level(received(_scatter(muscle, movement.at(0.0)), device, GRID, np.random.default_rng([seed, 3])))

    def make(index: int) -> SimulatedFrame:
        scatter = _scatter(muscle, movement.at(index * frame_time_ms / 1000))
        envelope = received(scatter, device, GRID, np.random.default_rng([seed, 4, index]))
        return SimulatedFrame(shown(display(envelope, device, white), GRID, mm_per_pixel, is_mirrored=site.side == "left"))

    return SimulatedCine(
        kind="trapezius",
        scan=_scan(site),
        number_of_frames=frames,
        frame_time_ms=frame_time_ms,
        truth=_truth(seed, site, device, mm_per_pixel),
        make=make,
    )


def _scan(site: Site) -> Scan:
    return Scan(
        person=site.person,
        study=(site.person,),
        instance_number=site.number + 1,
        series_description=f"Simulated upper trapezius, {site.side}, site {site.number + 1}",
        body_part="SHOULDER",
        anatomic_region=("31764008", "Trapezius muscle"),
        laterality="R" if site.side == "right" else "L",
    )


def _truth(seed: int, site: Site, device: Device, mm_per_pixel: float) -> TrapeziusTruth:
    return TrapeziusTruth(
        seed=seed,
        simulator_version=TRAPEZIUS_VERSION,
        subject=f"trapezius-{site.person:06d}",
        device=device.name,
        mm_per_pixel=mm_per_pixel,
        **site.model_dump(include=set(Signs.model_fields)),
    )


def _nodule(random: np.random.Generator, place: int, count: int, share: float) -> Nodule:
    """Area 0.16 +- 0.11 cm2 (Sikdar 2009) at middling severity; each in its own part of the width, so none overlap."""
    area_mm2 = 100 * float(np.clip(random.lognormal(np.log(0.13), 0.6), 0.03, 0.5)) * (0.7 + 0.6 * share)
    flat = random.uniform(1.2, 2.2)
    height = float(np.sqrt(4 / np.pi * area_mm2 / flat))
    part = GRID.width_mm / count
    return Nodule(
        centre_mm=(float(part * (place + random.uniform(0.3, 0.7))), float(random.uniform(0.3, 0.7))),
        axes_mm=(flat * height, height),
        hypoechoic_db=float(2 + 4 * share * random.uniform(0.5, 1.0)),
        strain_reduction=float(_STIFFEST * (0.3 + 0.7 * share) * random.uniform(0.6, 1.0)),
    )


def _distractor(random: np.random.Generator) -> Nodule:
    height = random.uniform(1.0, 2.5)
    return Nodule(
        centre_mm=(float(random.uniform(0.15, 0.85) * GRID.width_mm), float(random.uniform(0.2, 0.8))),
        axes_mm=(float(height * random.uniform(1.0, 3.0)), float(height)),
        hypoechoic_db=float(random.uniform(4, 12)),
        strain_reduction=0.0,
    )


def _draw_layers(random: np.random.Generator) -> _Layers:
    """Upper trapezius: muscle 11.4 to 11.9 mm in the mean, fascia 1.23 to 1.29 mm (PMC5731835)."""
    draw = random.uniform
    return _Layers(
        fat_mm=draw(3, 11),
        thickness_mm=float(np.clip(random.normal(11.6, 1.8), 7.5, 16)),
        fascia_mm=float(np.clip(random.normal(1.26, 0.15), 0.8, 1.7)),
        tilt_deg=draw(-4, 4),
        fibre_deg=draw(0, 8),
        deep_fibre_deg=draw(-20, 20),
        bump_mm=draw(0, 0.5),
        bump_wavelength_mm=draw(25, 60),
    )


def _draw_movement(random: np.random.Generator) -> _Movement:
    draw = random.uniform
    phases = draw(0, 2 * np.pi, 4)
    return _Movement(
        sway_mm=draw(0.25, 1.0),
        sway_hz=draw(0.1, 0.4),
        tilt_deg=draw(0, 1.2),
        tilt_hz=draw(0.1, 0.4),
        breathing_mm=0.3 * draw(0.5, 1.0),
        compression=draw(0.02, 0.08),
        compression_hz=draw(0.2, 0.5),
        phases=(float(phases[0]), float(phases[1]), float(phases[2]), float(phases[3])),
    )


def _scatter(muscle: _Muscle, moment: tuple[float, float, float, float]) -> np.ndarray[tuple[int, int], np.dtype[np.complex64]]:
    """Scatterers times the square root of echogenicity over the grid, as the tissue lies at one moment."""
    x, y = _at_rest(muscle, moment)
    superficial, deep = _surfaces(muscle.layers, x)
    half = muscle.layers.fascia_mm / 2
    lines = (np.abs(y - superficial) < half) | (np.abs(y - deep) < half)
    across, along = _material(muscle, x, y, deep)
    echogenicity = _echogenicity(muscle, x, y, (superficial, deep), (across, along))
    patches = sample(muscle.fields.slow, y * 0 + 3, x + muscle.offset_mm[1], 0.25, 0.8)
    fascia = _FASCIA * muscle.echoes.aponeurosis * (0.5 + 0.5 * np.clip(1 + patches, 0.2, 2))
    echogenicity = np.where(lines, fascia, echogenicity)
    complex_field = scatterers(muscle.fields.real, across, along) + 1j * scatterers(muscle.fields.imaginary, across, along)
    coherent = np.where(lines, np.sqrt(muscle.echoes.specular * fascia), 0)
    return np.asarray(complex_field * np.sqrt(echogenicity) + coherent, np.complex64)


def _at_rest(muscle: _Muscle, moment: tuple[float, float, float, float]) -> tuple[Floats, Floats]:
    """Where each cell's tissue lies at rest, mm (rows, columns) each. What is stiff is compressed less than what is round it."""
    sway, breathing, tilt, compression = moment
    x, y = GRID.points()
    middle = GRID.width_mm / 2
    x_rest = middle + (x - middle) * np.cos(tilt) * (1 - compression / 2) + y * np.sin(tilt) + sway
    y_turned = y * np.cos(tilt) - (x - middle) * np.sin(tilt)
    inside = [n.strain_reduction * _inside(muscle, n, x_rest, y_turned) for n in muscle.site.nodules]
    soft = 1 - np.sum(inside, axis=0) if inside else np.ones_like(y_turned)
    pressed = compression * np.cumsum(soft, axis=0) * GRID.row_mm
    # The skin stays at the probe; breathing moves what lies deeper.
    return x_rest.astype(np.float32), (y_turned + pressed + breathing * np.clip(y / 10, 0, 1)).astype(np.float32)


def _surfaces(layers: _Layers, x: Floats) -> tuple[Floats, Floats]:
    """Depth of the centre lines of both fasciae, mm."""
    slope = float(np.tan(np.radians(layers.tilt_deg)))
    wave = layers.bump_mm * np.sin(2 * np.pi * x / layers.bump_wavelength_mm)
    superficial = layers.fat_mm + (x - GRID.width_mm / 2) * slope + wave
    return np.asarray(superficial, np.float32), np.asarray(superficial + layers.thickness_mm - 0.5 * wave, np.float32)


def _inside(muscle: _Muscle, nodule: Nodule, x: Floats, y: Floats) -> Floats:
    """1 in the middle, 0 outside, soft at the edge. The depth of a nodule is a share of the muscle's thickness."""
    superficial, deep = _surfaces(muscle.layers, np.float32(nodule.centre_mm[0]) + np.zeros((1, 1), np.float32))
    depth = superficial + nodule.centre_mm[1] * (deep - superficial)
    reach = np.hypot(2 * (x - nodule.centre_mm[0]) / nodule.axes_mm[0], 2 * (y - depth) / nodule.axes_mm[1])
    return np.asarray(1 / (1 + np.exp(np.clip((reach - 1) / _EDGE, -30, 30))), np.float32)


def _material(muscle: _Muscle, x: Floats, y: Floats, deep: Floats) -> tuple[Floats, Floats]:
    """Coordinates across and along the fibres, mm; below the deep fascia lies another muscle with fibres of its own."""
    layers = muscle.layers
    angle = np.radians(np.where(y > deep, layers.deep_fibre_deg, layers.fibre_deg - layers.tilt_deg)).astype(np.float32)
    across = y * np.cos(angle) + x * np.sin(angle) + muscle.offset_mm[0]
    along = x * np.cos(angle) - y * np.sin(angle) + muscle.offset_mm[1]
    return across.astype(np.float32), along.astype(np.float32)


def _echogenicity(
    muscle: _Muscle, x: Floats, y: Floats, surfaces: tuple[Floats, Floats], material: tuple[Floats, Floats]
) -> Floats:
    """Power relative to plain muscle, without the fasciae."""
    fields, echoes, site = muscle.fields, muscle.echoes, muscle.site
    superficial, deep = surfaces
    across, along = material
    inside = [_inside(muscle, nodule, x, y) for nodule in site.nodules]
    belly = (y >= superficial) & (y <= deep)
    disorder = np.where(belly, site.disorder * (1 + np.sum(inside, axis=0) if inside else 1), 0).astype(np.float32)
    # Streaks that leave their course are as bright in the mean, but short and bent.
    astray = sample(fields.slow, across, along, _ASTRAY_CELL_MM, _ASTRAY_CELL_MM)
    streaks = sample(fields.streaks, across + _ASTRAY_MM * disorder * astray, along, ACROSS_MM, ALONG_MM)
    streaks = np.where(belly, streaks, 0.6 * streaks)
    level = sample(fields.texture, across, along, ACROSS_MM, ALONG_MM) * (1 + echoes.streak_gain * streaks)
    dark = [n.hypoechoic_db * i for n, i in zip(site.nodules, inside, strict=True)]
    dark += [n.hypoechoic_db * _inside(muscle, n, x, y) for n in site.distractors]
    if dark:
        level = level * 10 ** (-np.sum(dark, axis=0) / 10)
    level = np.where(y > deep, 0.6 * level, level)
    level = np.where(y < superficial, fat(fields, echoes, x + muscle.offset_mm[1], y), level)
    return np.asarray(np.where(y < SKIN_MM, 5.0, level), np.float32)
