"""The archive of a backup: one tar, written and read as a stream, every member hashed.

database.dump             pg_dump's custom format
instances/ab/<hash>.dcm   every instance, byte for byte
SHA256SUMS                of all the above, as `sha256sum --check` reads it
manifest.json             what the archive is, and the hash of SHA256SUMS
"""

import hashlib
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from service.errors import InputRejected

DUMP, SUMS, MANIFEST = "database.dump", "SHA256SUMS", "manifest.json"
_INSTANCE = re.compile(r"instances/(?P<key>[0-9a-f]{2}/[0-9a-f]{64}\.dcm)")
_PIECE_BYTES = 1 << 20
_MAXIMUM_MANIFEST_BYTES = 1 << 20

#: Called with the bytes done so far.
Progress = Callable[[int], None]


class Manifest(BaseModel):
    """What an archive is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    created_at: datetime
    service_version: str
    #: Alembic's, of the database.
    revision: str
    instances: int
    instance_bytes: int
    dump_bytes: int
    sums_sha256: str
    #: How many files the store should have held and did not, or held with other content; the first of them by key.
    missing: int = 0
    first_missing: tuple[str, ...] = ()


class ArchiveWriter:
    """Members in the order in which they are added; memory does not grow with their number."""

    def __init__(self, tar: tarfile.TarFile, sums: IO[bytes]) -> None:
        self._tar = tar
        self._sums = sums

    def add(self, name: str, source: IO[bytes]) -> int:
        """One file, from its beginning; gives its size. Raises OSError."""
        member = _Hashing(source)
        size_bytes = self._write(name, member, os.fstat(source.fileno()).st_size)
        self._sums.write(_sum_line(member.sha256(), name))
        return size_bytes

    def finish(self, describe: Callable[[str], Manifest]) -> Manifest:
        """SHA256SUMS, then the manifest, which `describe` makes from the hash of the former."""
        self._sums.seek(0)
        sums = _Hashing(self._sums)
        self._write(SUMS, sums, os.fstat(self._sums.fileno()).st_size)
        manifest = describe(sums.sha256())
        encoded = manifest.model_dump_json(indent=2).encode() + b"\n"
        with tempfile.TemporaryFile() as file:
            file.write(encoded)
            file.seek(0)
            self._write(MANIFEST, _Hashing(file), len(encoded))
        return manifest

    def _write(self, name: str, content: "_Hashing", size_bytes: int) -> int:
        member = tarfile.TarInfo(name)
        member.size, member.mode = size_bytes, 0o600
        self._tar.addfile(member, content)
        self._tar.members = []  # type: ignore[attr-defined] # it would remember every member
        return size_bytes


@contextmanager
def new_archive(path: Path) -> Iterator[ArchiveWriter]:
    """A tar that only its owner may read, on the disk when the block ends."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        # Beside the archive, for it may be large; it has no name.
        with (
            tempfile.TemporaryFile(dir=path.parent) as sums,
            tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            yield ArchiveWriter(tar, sums)
        file.flush()
        os.fsync(file.fileno())
        # So that verifying reads the disk, not what the kernel remembers.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive while it passes by; `key` is the storage key of an instance."""

    name: str
    key: str | None
    size_bytes: int
    content: IO[bytes]


def read_members(path: Path) -> Iterator[Member]:
    """Each member in turn; its content must be read before the next. Raises InputRejected when it is no archive of ours.

    Read it within `damage_translated`.
    """
    with tarfile.open(path, mode="r:") as tar:
        while (info := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined] # it would remember every member
            found = _INSTANCE.fullmatch(info.name)
            content = tar.extractfile(info) if info.isreg() else None
            if content is None or (found is None and info.name not in (DUMP, SUMS, MANIFEST)):
                raise InputRejected("The archive holds something that no backup holds.", reason="not_a_backup")
            yield Member(info.name, found["key"] if found else None, info.size, content)


@contextmanager
def damage_translated() -> Iterator[None]:
    """Turn what `tarfile` raises, when it opens an archive or while a member is read, into InputRejected."""
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        raise InputRejected("The archive is no backup, or it is cut off.", reason="damaged") from error


def check_outline(path: Path) -> None:
    """Look at the members' names and sizes only, which is soon done. Raises InputRejected when it is no whole archive of ours."""
    with damage_translated():
        names = [member.name for member in read_members(path) if member.key is None]
    if names != [DUMP, SUMS, MANIFEST]:
        raise InputRejected("The archive is no backup, or it is cut off.", reason="damaged")


def verify_archive(path: Path, progress: Progress) -> Manifest:
    """Read it all and compare every hash. Raises InputRejected naming the first member that is damaged."""
    manifest: Manifest | None = None
    instances = done_bytes = 0
    with damage_translated(), tempfile.TemporaryFile() as computed:
        for member in read_members(path):
            if manifest is not None:
                raise InputRejected("The archive goes on after its manifest.", reason="not_a_backup")
            if member.name == MANIFEST:
                manifest = _read_manifest(member)
                _check_manifest(manifest, instances, computed)
            elif member.name == SUMS:
                _compare_sums(member.content, computed)
            else:
                computed.write(_sum_line(_hash(member.content), member.name))
                instances += member.key is not None
                done_bytes += member.size_bytes
                progress(done_bytes)
    if manifest is None:
        raise InputRejected("The archive has no manifest: it is cut off.", reason="damaged")
    return manifest


class _Hashing:
    """A file that hashes what is read from it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        return data

    def sha256(self) -> str:
        return self._hash.hexdigest()


def _hash(content: IO[bytes]) -> str:
    member = _Hashing(content)
    while member.read(_PIECE_BYTES):
        pass
    return member.sha256()


def _sum_line(sha256: str, name: str) -> bytes:
    return f"{sha256}  {name}\n".encode()


def _read_manifest(member: Member) -> Manifest:
    try:
        return Manifest.model_validate_json(member.content.read(_MAXIMUM_MANIFEST_BYTES))
    except ValidationError as error:
        raise InputRejected("The archive's manifest is damaged, or a newer version wrote it.", reason="damaged") from error


def _check_manifest(manifest: Manifest, instances: int, computed: IO[bytes]) -> None:
    computed.seek(0)
    if (manifest.instances, manifest.sums_sha256) != (instances, _hash(computed)):
        raise InputRejected("The archive's manifest does not fit its content.", reason="damaged")


def _compare_sums(stated: IO[bytes], computed: IO[bytes]) -> None:
    computed.seek(0)
    for line in computed:
        name = line.decode().split("  ", 1)[1].strip()
        if stated.readline() != line:
            raise InputRejected(f"{name} in the archive is damaged.", reason="damaged")
    if stated.read(1):
        raise InputRejected("The archive lacks a file that it lists.", reason="damaged")
