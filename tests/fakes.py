"""Small stand-ins on the same ports, for faults and for speed; the real ones are tested beside them."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from service.core.analyses.analysis import DescribeModel, Infer, ModelSpec, Tensors
from service.core.cine import Box, Calibration, Cine, Frame, Pixels, Region, TimeAxis
from service.core.findings import AnalysisUsed, Evidence, Finding, FindingKind, ModelUsed
from service.core.identifiers import derive_uid
from service.core.masks import MaskKeeper
from service.errors import InputRejected, NotFound
from service.records import RenderedObject


@dataclass
class FakeStore:
    """Keys are names of files that need not exist."""

    folder: Path = Path("/nonexistent")

    def adopt(self, incoming: Path, digest: object) -> str:
        raise NotImplementedError

    def path(self, storage_key: str) -> Path:
        return self.folder / storage_key

    def keys(self) -> Iterator[str]:
        return iter(())

    def delete(self, storage_key: str) -> None:
        del storage_key
        raise NotFound("There is nothing to delete.")


@dataclass
class FakeReader:
    """Opens any path as a small cine whose grey level comes from `grey`; refuses the paths in `refused`."""

    grey: Mapping[str, int] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    uid_of: Callable[[Path], str] = lambda path: path.name

    @contextmanager
    def open(self, path: Path) -> Iterator[Cine]:
        if path.name in self.refused:
            raise InputRejected("The pixel data holds fewer bytes than its frames need.", reason="pixel_data_too_short")
        yield make_cine(self.uid_of(path), grey=self.grey.get(path.name, 7))


def make_cine(uid: str, *, grey: int = 7, frames: int = 3) -> Cine:
    """A uniform cine of 8x8 pixels without calibration."""
    pixels: Pixels = np.full((8, 8), grey, np.uint8)
    return Cine(
        sop_instance_uid=uid,
        number_of_frames=frames,
        rows=8,
        columns=8,
        region=Region(None, Box(0, 0, 8, 8), Calibration(None, None, "none", "no regions"), "the whole frame"),
        time_axis=TimeAxis(None, "none", reason="no FrameTime"),
        frames=lambda: iter([Frame(number, pixels) for number in range(1, frames + 1)]),
        picture=lambda _number: np.stack([pixels] * 3, axis=-1),
        pixel_sha256=lambda: "0" * 64,
    )


@dataclass
class FakeServer:
    """Never asked by the fake analysis; every model has the versions in `served`."""

    served: tuple[str, ...] = ("1",)

    def infer(self, model: ModelSpec, batches: Iterable[Tensors]) -> Iterator[Tensors]:
        raise NotImplementedError

    def describe(self, model: ModelSpec) -> ModelUsed:
        raise NotImplementedError

    def versions(self, model: ModelSpec) -> Sequence[str]:
        del model
        return self.served

    def check(self, models: Sequence[ModelSpec]) -> None:
        del models


@dataclass
class FakeAnalysis:
    """Measures the grey level of the first frame; `before` runs first and may raise."""

    name: str = "muscle_architecture"
    version: str = "1"
    models: tuple[ModelSpec, ...] = ()
    before: Callable[[], None] = lambda: None
    runs: int = 0

    def analyse(self, cine: Cine, infer: Infer, describe: DescribeModel, keep: MaskKeeper | None = None) -> tuple[Finding, ...]:
        del infer, describe, keep
        self.runs += 1
        self.before()
        grey = float(next(cine.frames()).pixels.mean())
        return (
            Finding(
                finding_id=derive_uid(cine.sop_instance_uid, "echo_intensity"),
                name="echo_intensity",
                kind=FindingKind.MEASUREMENT,
                analysis=AnalysisUsed(name=self.name, version=self.version),
                value=grey,
                unit="1",
                text=f"Echo intensity {grey:.0f}",
                evidence=Evidence(sop_instance_uid=cine.sop_instance_uid, frames=(1,)),
            ),
        )


@dataclass
class FakeDestination:
    """Keeps what it is sent; `before` runs first and may raise."""

    name: str = "pacs"
    kinds: frozenset[str] = frozenset({"sr"})
    before: Callable[[], None] = lambda: None
    received: list[RenderedObject] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, rendered: RenderedObject) -> None:
        self.before()
        with self.lock:
            self.received.append(rendered)
