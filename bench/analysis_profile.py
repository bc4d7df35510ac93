"""Where an analysis spends its time: the service's own flow, once, in this process, on a running service's servers."""

import cProfile
import pstats
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from bench.bare_loop import numbers_of
from service.bootstrap import Service
from service.core.analyses.analysis import Tensors
from service.core.analyses.muscle_architecture import MuscleArchitecture
from service.core.cine import Cine
from service.core.measure.architecture import FrameArchitecture
from service.embedded.postgres import EmbeddedPostgres
from service.flow import Flow
from service.ports import CineReader, UnitOfWork
from service.settings import DatabaseSettings, Settings, TritonSettings
from tests.running import RunningService

T = TypeVar("T")
_SLOWEST = 25


class Clock:
    """Seconds of the calling thread by part; a part that is entered within another stops the outer one's clock."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Everything within, but for the parts inside it."""
        self._book()
        self._open.append(name)
        try:
            yield
        finally:
            self._book()
            self._open.pop()

    def each(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """The same items; the time until each comes is this part's."""
        iterator = iter(items)
        while True:
            with self.part(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def _book(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now - self._since
        self._since = now


def profile_analysis(service: RunningService, study: str) -> dict[str, Any]:
    """Seconds by part, the slowest functions, and every frame's numbers."""
    ours = Service(_settings(service))
    clock = Clock()
    analysis = _Watched(clock=clock)
    try:
        flow = _watched(ours.flow, clock, analysis)
        _once(ours, flow, study)  # makes connections, regions and a decoder
        clock.seconds.clear()
        analysis.measured.clear()
        with clock.part("other"):
            _once(ours, flow, study)
        slowest = _slowest(lambda: _once(ours, ours.flow, study))
    finally:
        ours.server.close()
        ours.reader.close()
        ours.engine.dispose()
    numbers = [numbers_of(frame) for frame in analysis.measured]
    return {"seconds": clock.seconds, "slowest_functions": slowest, "numbers": numbers}


@dataclass(frozen=True, kw_only=True)
class _Watched(MuscleArchitecture):
    """The real analysis with its parts timed."""

    clock: Clock
    measured: list[FrameArchitecture] = field(default_factory=list)

    def inputs(self, prepared: Any) -> Iterator[Tensors]:  # noqa: ANN401 - private to the analysis
        """As the analysis does."""
        return self.clock.each("preprocess", super().inputs(prepared))

    def measure(self, prepared: Any, outputs: Iterable[Tensors]) -> Iterator[FrameArchitecture]:  # noqa: ANN401 - as above
        """As the analysis does."""
        for frame in self.clock.each("geometry", super().measure(prepared, self.clock.each("wait for Triton", outputs))):
            self.measured.append(frame)
            yield frame


@dataclass(frozen=True)
class _WatchedReader:
    """The real reader; the wait for its decoder is timed."""

    reader: CineReader
    clock: Clock

    @contextmanager
    def open(self, path: Path) -> Iterator[Cine]:
        """As the reader does."""
        with ExitStack() as stack:
            with self.clock.part("wait for the decoder"):
                cine = stack.enter_context(self.reader.open(path))
            yield replace(cine, frames=lambda: self.clock.each("wait for the decoder", cine.frames()))


def _watched(flow: Flow, clock: Clock, analysis: MuscleArchitecture) -> Flow:
    @contextmanager
    def units() -> Iterator[UnitOfWork]:
        with clock.part("database"), flow.units() as unit:
            yield unit

    return replace(flow, units=units, reader=_WatchedReader(flow.reader, clock), analyses={analysis.name: analysis})


def _settings(service: RunningService) -> Settings:
    found = re.search(r"triton serves on (\S+)", service.log.read_text())
    assert found is not None
    url = EmbeddedPostgres(folder=service.data_dir / "postgres").url()
    return Settings(
        data_dir=service.data_dir,
        database=DatabaseSettings.model_validate({"url": url}),
        triton=TritonSettings(url=found[1]),
    )


def _once(ours: Service, flow: Flow, study: str) -> None:
    with ours.units() as unit:
        waiting = unit.analyses.reopen(study)  # without a job, so that the worker leaves it to us
    for instance_id, name in waiting:
        flow.analyse_instance(instance_id, name)


def _slowest(call: Callable[[], None]) -> list[dict[str, Any]]:
    """Functions by their own time on this thread; the profiler makes small functions look slower than they are."""
    profiler = cProfile.Profile()
    profiler.runcall(call)
    rows = sorted(pstats.Stats(profiler).get_stats_profile().func_profiles.items(), key=lambda item: -item[1].tottime)
    return [
        {"function": f"{Path(row.file_name).name}:{name}", "calls": row.ncalls, "seconds": row.tottime}
        for name, row in rows[:_SLOWEST]
    ]
