"""The motor units of a recording become findings: one a unit, and how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.core import codes, wording
from service.core.cine import Cine
from service.core.findings import AnalysisUsed, Finding, FindingKind, ModelUsed, MotorUnit, Polyline, Series, Twitch
from service.core.measure.grounds import evidence_of, said_by, stored_points
from service.core.measure.motor_band import COUNT_NAME, PIXEL_MM, RATE_HZ, UNIT_NAME, UNITS_FROM_SIMULATION
from service.core.measure.motor_maps import Mask
from service.core.measure.motor_outlines import outline
from service.core.measure.motor_unit_trains import Unit
from service.core.measure.motor_velocity import MovingTissue
from service.core.quality import Grade

_VELOCITY = "mm/s"
_RATE = "Hz"


def found_text(rates: Sequence[float], *, is_amended: bool = False) -> str:
    """How many units there are, at least one, and between which rates (Hz) they fire."""
    spread = wording.quantity_range(min(rates), max(rates), _RATE)
    told = f"Motor units found: {len(rates)}, firing at {spread}"
    return f"{told}, amended rates among these." if is_amended else f"{told}."


@dataclass(frozen=True, slots=True, kw_only=True)
class MotorFindings:
    """All that was found in one recording."""

    cine: Cine
    tissue: MovingTissue
    analysis: AnalysisUsed
    maps: ModelUsed
    trains: ModelUsed
    units: tuple[Unit, ...]

    @property
    def shown_frame(self) -> int:
        """That stands for the recording, in which territories do not move: the middle one."""
        return (self.cine.number_of_frames + 1) // 2

    def all(self) -> tuple[Finding, ...]:
        """Their number and each of them; without any one finding, `not_measured`."""
        if not self.units:
            return (self._nothing(),)
        return (self._count(), *(self._unit(number, unit) for number, unit in enumerate(self.units, start=1)))

    def _count(self) -> Finding:
        return Finding(
            **self._common(COUNT_NAME, self.maps),
            kind=FindingKind.MEASUREMENT,
            value=float(len(self.units)),
            unit="1",
            flags=(UNITS_FROM_SIMULATION,),
            text=found_text([unit.rate_hz for unit in self.units]),
            evidence=evidence_of(self.cine, (self.shown_frame,), scale=self.tissue.scale),
        )

    def _unit(self, number: int, unit: Unit) -> Finding:
        x, y = self._centre_mm(unit.mask)
        area = float(unit.mask.sum()) * PIXEL_MM**2
        told = MotorUnit(
            number=number,
            centre_mm=(round(x, 2), round(y, 2)),
            area_mm2=round(area, 2),
            firings_seconds=tuple(round(time, 4) for time in unit.discharges_s.tolist()),
            rate_hz=round(unit.rate_hz, 3),
            interval_variation=round(unit.interval_variation, 4),
            twitch=_twitch(unit),
            sureness=round(unit.heat, 4),
        )
        return Finding(
            **self._common(UNIT_NAME, self.trains, of=str(number)),
            kind=FindingKind.MEASUREMENT,
            value=unit.rate_hz,
            unit=_RATE,
            flags=(UNITS_FROM_SIMULATION,),
            text=(
                f"Motor unit {number}: territory {wording.quantity(area, 'mm2')}, centre {wording.quantity(x, 'mm')} from the"
                f" left and {wording.quantity(y, 'mm')} deep; {len(unit.discharges_s)} firings,"
                f" {wording.quantity(unit.rate_hz, _RATE)}, intervals vary by"
                f" {wording.quantity(100 * unit.interval_variation, '%')}."
            ),
            evidence=evidence_of(
                self.cine, (self.shown_frame,), scale=self.tissue.scale, lines=(self._outline(number, unit.mask),)
            ),
            series=self._series(unit),
            motor_unit=told,
        )

    def _nothing(self) -> Finding:
        return Finding(
            **self._common("not_measured", self.maps),
            kind=FindingKind.NOT_MEASURED,
            flags=("no_motor_unit", Grade.C.flag),
            text=(
                "Not measured: no motor unit was found. Record a slight, steady contraction across the fibres,"
                " with the probe held still."
            ),
            evidence=evidence_of(self.cine, scale=self.tissue.scale),
        )

    def _centre_mm(self, mask: Mask) -> tuple[float, float]:
        """Of a territory, from the left and the upper edge of the sector."""
        rows, columns = np.nonzero(mask)
        ((column, row),) = self.tissue.placement.to_region(np.array([[columns.mean(), rows.mean()]]))
        scale, sector = self.tissue.calibration, self.tissue.sector
        across, along = scale.mm_per_pixel_x or 0.0, scale.mm_per_pixel_y or 0.0
        return float(column + 0.5 - sector.x0) * across, float(row + 0.5 - sector.y0) * along

    def _outline(self, number: int, mask: Mask) -> Polyline:
        points = stored_points(self.cine, self.tissue.placement, outline(mask))
        return Polyline(label=wording.motor_unit_name(number), frame=self.shown_frame, points=points)

    def _series(self, unit: Unit) -> Series:
        """The twitch train at the frames of the cine."""
        times = tuple(self.cine.time_axis.at(number) for number in range(1, self.cine.number_of_frames + 1))
        nearest = np.clip(np.round(np.array([time or 0.0 for time in times]) * RATE_HZ).astype(np.int64), 0, len(unit.twitch) - 1)
        values = tuple(round(float(value), 4) if np.isfinite(value) else None for value in unit.twitch[nearest])
        return Series(time_seconds=times, values=values, unit=_VELOCITY)

    def _common(self, name: str, model: ModelUsed, *, of: str | None = None) -> dict[str, object]:
        return said_by(name, cine=self.cine, analysis=self.analysis, model=model, site=codes.SKELETAL_MUSCLE, of=of)


def _twitch(unit: Unit) -> Twitch:
    times, values = unit.mean_twitch()
    return Twitch(
        time_seconds=tuple(round(time, 4) for time in times.tolist()),
        values=tuple(round(value, 4) for value in values.tolist()),
        unit=_VELOCITY,
    )
