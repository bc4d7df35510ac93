"""Files that are still arriving: each is locked by the process that writes it, so that a leftover is known for one."""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SUFFIX = ".part"


class IncomingFolder:
    """Temporary files on the store's own file system."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self._folder

    @contextmanager
    def create(self) -> Iterator["IncomingFile"]:
        """A new file; removed at the end unless it was renamed away. Raises OSError."""
        file = self._open()
        try:
            yield file
        finally:
            with suppress(FileNotFoundError):
                file.path.unlink()
            os.close(file.descriptor)

    def sweep(self) -> int:
        """Remove what no live process writes any more; gives how many. A kill, a power cut or a full disk leaves such files."""
        removed = 0
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                    removed += 1
                finally:
                    os.close(descriptor)
        return removed

    def _open(self) -> "IncomingFile":
        while True:
            path = self._folder / f"{uuid.uuid4().hex}{_SUFFIX}"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return IncomingFile(path, descriptor)
            os.close(descriptor)  # another process swept it away between its making and its locking


class IncomingFile:
    """An open, locked file."""

    __slots__ = ("descriptor", "path")

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    def write(self, data: bytes | memoryview) -> None:
        """Write all of `data`. Raises OSError."""
        left = memoryview(data)
        while left:
            left = left[os.write(self.descriptor, left) :]

    def size_bytes(self) -> int:
        """How long the file is."""
        return os.fstat(self.descriptor).st_size
