"""Motor units of a contracting muscle, from the velocity of its tissue in a fast cine: where each lies and when it fires.

The first network turns a window of velocity images into maps, from which territories are read; the second turns the traces of a
territory into its twitch train and discharges. Both were trained on simulated muscles only.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from service.core.analyses.analysis import DescribeModel, Infer, ModelSpec, Tensors, TensorSpec
from service.core.cine import Cine
from service.core.findings import AnalysisUsed, Finding
from service.core.masks import MaskKeeper
from service.core.measure.colour import refuse_colour
from service.core.measure.motor_band import FRAMES, RATE_HZ, SIZE
from service.core.measure.motor_findings import MotorFindings
from service.core.measure.motor_maps import CHANNELS, Floats, territories
from service.core.measure.motor_trains import TRACES, discharges, traces, within_band
from service.core.measure.motor_unit_trains import Unit, in_millimetres, joined
from service.core.measure.motor_unmixing import seen
from service.core.measure.motor_velocity import MovingTissue, moving_tissue
from service.core.wording import motor_unit_name

MAPS = ModelSpec(
    model_name="mu_seg",
    model_version="1",
    inputs=(TensorSpec("velocity", "FP32", (1, FRAMES, SIZE, SIZE)),),
    outputs=(TensorSpec("maps", "FP32", (CHANNELS, SIZE, SIZE)),),
    max_batch_size=1,
)
TRAINS = ModelSpec(
    model_name="mu_twitch",
    model_version="1",
    inputs=(TensorSpec("traces", "FP32", (TRACES, FRAMES)),),
    outputs=(TensorSpec("twitch", "FP32", (FRAMES,)), TensorSpec("spike", "FP32", (FRAMES,))),
    max_batch_size=32,
)


@dataclass(frozen=True, kw_only=True)
class MotorUnits:
    """The analysis `motor_units`; one cine is a recording."""

    name: str = "motor_units"
    version: str = "1.1.1"
    models: tuple[ModelSpec, ...] = (MAPS, TRAINS)

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        """Findings of one cine; one in which no unit is found gives one finding, `not_measured`.

        Raises NotMeasurable: `no_frames`, `colour_overlay`, `not_calibrated`, `field_of_view_too_small`, `frames_not_alike`,
        `no_time_axis`, `uneven_frame_times`, `frame_rate_too_low`, `cine_too_short`, `cine_too_long`.
        """
        tissue = moving_tissue(cine)
        refuse_colour(cine, tissue.sector)
        units = self.units(tissue, infer)
        findings = MotorFindings(
            cine=cine,
            tissue=tissue,
            analysis=AnalysisUsed(name=self.name, version=self.version),
            maps=describe(MAPS),
            trains=describe(TRAINS),
            units=units,
        )
        if keep is not None and units:
            keep.begin([motor_unit_name(number) for number in range(1, len(units) + 1)], tissue.placement, cine)
            keep.add(findings.shown_frame, np.stack([unit.mask for unit in units]))
        return findings.all()

    def units(self, tissue: MovingTissue, infer: Infer) -> tuple[Unit, ...]:
        """Of all windows together, the surest first. Held are those that are not answered yet."""
        sent: deque[tuple[slice, Floats]] = deque()
        found = []
        for answer in infer(MAPS, self._inputs(tissue, sent)):
            place, velocity = sent.popleft()
            found.append((place, self._in_window(velocity, answer["maps"][0].astype(np.float32, copy=False), infer)))
        return joined(found, tissue.images)

    def _inputs(self, tissue: MovingTissue, sent: deque[tuple[slice, Floats]]) -> Iterator[Tensors]:
        for window in tissue.windows():
            sent.append(window)
            yield {"velocity": window[1][None, None]}

    def _in_window(self, velocity: Floats, maps: Floats, infer: Infer) -> Sequence[Unit]:
        places = territories(maps)
        if not places:
            return ()
        moving = within_band(velocity, RATE_HZ)
        (answer,) = infer(TRAINS, [{"traces": traces(moving, [place.mask for place in places])}])
        twitches, logits = (answer[name].astype(np.float32, copy=False) for name in ("twitch", "spike"))
        return [
            Unit(place.mask, place.heat, in_millimetres(seen(twitch, moving, place.mask), moving, place.mask), discharges(logit))
            for place, twitch, logit in zip(places, twitches, logits, strict=True)
        ]
