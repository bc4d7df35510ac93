"""What tests do with a cine reader, and how much memory its decoder took."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from service.adapters.cine_decoder import FileCineReader
from service.core.cine import Cine
from service.errors import InputRejected

MEGABYTE = 1 << 20
FRAMES, ROWS, COLUMNS = 5, 40, 56


def warm_reader() -> Iterator[FileCineReader]:
    """For a fixture: decoders are started once."""
    opened = FileCineReader(timeout_seconds=20).warm()
    yield opened
    opened.close()


def cine_path(tmp_path: Path) -> Path:
    """For a fixture: where a test writes its cine."""
    return tmp_path / "cine.dcm"


def read(reader: FileCineReader, path: Path) -> npt.NDArray[np.uint8]:
    """All frames, numbered as they should be."""
    with reader.open(path) as cine:
        frames = list(cine.frames())
        assert [frame.number for frame in frames] == list(range(1, cine.number_of_frames + 1))
        return np.stack([frame.pixels for frame in frames])


def refusal(reader: FileCineReader, path: Path) -> str:
    """The reason with which the file is rejected."""
    with pytest.raises(InputRejected) as caught, reader.open(path) as cine:
        for _ in cine.frames():
            pass
    assert str(caught.value)
    return caught.value.reason


def peak_rss(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def open_and_count(cine: Cine) -> int:
    return sum(1 for _ in cine.frames())


def split(data: bytes, parts: int) -> list[bytes]:
    step = -(-len(data) // parts // 2) * 2
    return [data[start : start + step] for start in range(0, len(data), step)]
