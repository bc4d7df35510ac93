"""Instances as files: `incoming` while they arrive, then durable under a name made from their content."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from service.adapters.incoming import IncomingFolder
from service.core.attributes import WANTED, read_attributes
from service.core.deflated_scan import scan_data_set, scanner_for
from service.core.instance import ContentDigest, InstanceAttributes
from service.core.part10 import MAXIMUM_HEAD_BYTES, PREAMBLE_BYTES, parse_head
from service.errors import NotFound, Unavailable

_KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.dcm")


class FileInstanceStore:
    """An InstanceStore on one file system; the folders that keys need are made, and made durable, beforehand."""

    def __init__(self, *, root: Path) -> None:
        self._root = root
        self._objects = root / "instances"
        for folder in (self._objects / f"{number:02x}" for number in range(256)):
            folder.mkdir(parents=True, exist_ok=True)
        self.incoming = IncomingFolder(root / "incoming")
        for folder in (self._objects, root, root.parent):
            _sync_folder(folder)

    @property
    def root(self) -> Path:
        """The folder whose file system must have room."""
        return self._root

    def adopt(self, incoming: Path, digest: ContentDigest) -> str:
        """fsync(file), rename into place, fsync(folder); gives the storage key. Raises Unavailable when out of space.

        The key is a function of the content: adopting the same content again replaces a file by its equal.
        """
        key = storage_key(digest)
        self.place(incoming, key)
        return key

    def place(self, incoming: Path, storage_key: str) -> None:
        """Like `adopt`, for a file whose key is known: one that comes back from a backup. Raises NotFound, Unavailable."""
        final = self._path_of(storage_key)
        try:
            descriptor = os.open(incoming, os.O_RDWR)
            try:
                # A preamble can make the file a program as well (CVE-2019-11687).
                if any(os.pread(descriptor, PREAMBLE_BYTES, 0)):
                    os.pwrite(descriptor, bytes(PREAMBLE_BYTES), 0)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            incoming.rename(final)
            _sync_folder(final.parent)
        except OSError as error:
            raise Unavailable(f"The instance store cannot keep the instance: {os.strerror(error.errno or 0)}") from error

    def path(self, storage_key: str) -> Path:
        """A local file holding the object, for reading. Raises NotFound."""
        path = self._path_of(storage_key)
        if not path.is_file():
            raise NotFound("The instance store does not hold this instance")
        return path

    def keys(self) -> Iterator[str]:
        """Every stored key, folder by folder."""
        for folder in sorted(self._objects.iterdir()):
            with os.scandir(folder) as entries:
                for entry in entries:
                    key = f"{folder.name}/{entry.name}"
                    if _KEY.fullmatch(key):
                        yield key

    def delete(self, storage_key: str) -> None:
        """Remove an object for good; removing it twice is no error."""
        path = self._path_of(storage_key)
        with suppress(FileNotFoundError):
            path.unlink()
            _sync_folder(path.parent)

    def free_bytes(self) -> int:
        """What an unprivileged process may still write."""
        state = os.statvfs(self._root)
        return state.f_bavail * state.f_frsize

    def _path_of(self, storage_key: str) -> Path:
        if not _KEY.fullmatch(storage_key):
            raise NotFound("This is no storage key")
        return self._objects / storage_key


def storage_key(digest: ContentDigest) -> str:
    """`ab/<hash>.dcm`, from both hashes of the content."""
    name = blake3(f"{digest.attributes}:{digest.pixels}".encode()).hexdigest()
    return f"{name[:2]}/{name}.dcm"


def read_instance(path: Path, *, maximum_inflated_bytes: int | None = None) -> tuple[InstanceAttributes, ContentDigest]:
    """What a DICOM file holds, in one pass over its bytes; a deflated one only when a maximum is given.

    Raises InputRejected, NotFound, Unavailable.
    """
    try:
        with path.open("rb", buffering=0) as file:
            transfer_syntax_uid, offset = parse_head(file.read(MAXIMUM_HEAD_BYTES))
            file.seek(offset)
            scanner = scanner_for(
                transfer_syntax_uid=transfer_syntax_uid, wanted=WANTED, maximum_inflated_bytes=maximum_inflated_bytes
            )
            scanned = scan_data_set(file.read, scanner)
    except FileNotFoundError as error:
        raise NotFound("The instance store does not hold this instance") from error
    except OSError as error:
        raise Unavailable(f"A stored instance cannot be read: {os.strerror(error.errno or 0)}") from error
    return read_attributes(scanned), scanned.digest


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
