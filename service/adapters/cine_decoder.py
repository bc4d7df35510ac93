"""Opens stored files as cines, in decoder processes that a hostile file may break without harm (service.ports.CineReader)."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Self, TypeVar

from service.adapters.decoder_handle import Decoder, DecoderCrashed
from service.core.cine import Cine, CineHeader, Frame, Pixels
from service.errors import InputRejected, NotFound

_log = logging.getLogger("sonomyo.decoder")
_Answer = TypeVar("_Answer")
#: A process that died may have been ended from outside; one that dies twice at the same place was not.
_TRIES = 2


class FileCineReader:
    """Gives cines to any number of threads; keeps `spares` decoders warm and replaces each after some files."""

    def __init__(
        self,
        *,
        memory_bytes: int = 1 << 30,
        timeout_seconds: float = 300.0,
        spares: int = 1,
        files_per_decoder: int = 200,
    ) -> None:
        self._memory_bytes = memory_bytes
        self._timeout_seconds = timeout_seconds
        self._spares = spares
        self._files_per_decoder = files_per_decoder
        self._lock = threading.Lock()
        self._idle: list[Decoder] = []
        self._is_closed = False
        self._is_warned = False

    def warm(self) -> Self:
        """Start the spare decoders now, without waiting for them; otherwise the first `open` does. Raises Unavailable."""
        with self._lock:
            while len(self._idle) < self._spares and not self._is_closed:
                self._idle.append(self._start())
        return self

    def close(self) -> None:
        """End the idle decoders; a cine that is still open keeps its own until it is closed."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.kill()

    def open(self, path: Path) -> AbstractContextManager[Cine]:
        """Raises InputRejected (with a named reason), NotFound, Unavailable."""
        return self._open(path)

    def lease(self) -> Decoder:
        """A decoder that is ready; give it back with `give_back`. Raises Unavailable."""
        with self._lock:
            decoder = self._idle.pop() if self._idle else None
        if decoder is None or not decoder.is_alive():
            if decoder is not None:
                decoder.kill()
            decoder = self._start()
        decoder.wait_until_ready()
        if not decoder.is_filtered:
            self._warn()
        return decoder

    def give_back(self, decoder: Decoder) -> None:
        """Keep it warm for the next file, or start a fresh one in its place."""
        try:
            if decoder.is_alive():
                decoder.close_file()
        except (DecoderCrashed, InputRejected):
            decoder.kill()
        is_worn = decoder.files_opened >= self._files_per_decoder
        with self._lock:
            has_room = not self._is_closed and len(self._idle) < self._spares
            if has_room and decoder.is_alive() and not is_worn:
                self._idle.append(decoder)
                return
        decoder.kill()
        if has_room:
            self.warm()

    @contextmanager
    def _open(self, path: Path) -> Iterator[Cine]:
        opened = _OpenCine(self, path)
        try:
            yield opened.cine()
        finally:
            opened.close()

    def _warn(self) -> None:
        """Once: decoding goes on within the limits, and who runs the service may choose another kernel or container profile."""
        with self._lock:
            is_first, self._is_warned = not self._is_warned, True
        if is_first:
            _log.warning("decoder_without_system_call_filter")

    def _start(self) -> Decoder:
        return Decoder(memory_bytes=self._memory_bytes, timeout_seconds=self._timeout_seconds)


class _OpenCine:
    """One file; every pass over it leases a decoder, so that passes and pictures may overlap and threads may differ."""

    def __init__(self, reader: FileCineReader, path: Path) -> None:
        self._reader = reader
        self._path = path
        self._lock = threading.Lock()
        self._free: list[Decoder] = []
        self._is_closed = False
        self._pixel_sha256: str | None = None
        self._header = self._retry(lambda _, header: header)

    def cine(self) -> Cine:
        """What the analyses get."""
        header = self._header
        return Cine(
            sop_instance_uid=header.sop_instance_uid,
            number_of_frames=header.number_of_frames,
            rows=header.rows,
            columns=header.columns,
            region=header.region,
            time_axis=header.time_axis,
            laterality=header.laterality,
            is_colour=header.is_colour,
            frames=self._frames,
            is_anonymous=header.is_anonymous,
            compressions=header.compressions,
            picture=self._picture,
            all_pictures=lambda: self._resumed(lambda decoder, header, first: decoder.pictures(header, first)),
            samples=self._samples,
            pixel_sha256=self._digest,
        )

    def close(self) -> None:
        """Give the decoders back; passes that still run give back theirs when they end."""
        with self._lock:
            self._is_closed = True
            free, self._free = self._free, []
        for decoder in free:
            self._reader.give_back(decoder)

    def _frames(self) -> Iterator[Frame]:
        for item in self._resumed(lambda decoder, header, first: decoder.frames(header, first)):
            if isinstance(item, str):
                self._pixel_sha256 = item
            else:
                yield item

    def _resumed(self, begin: Callable[[Decoder, CineHeader, int], Iterator[_Answer]]) -> Iterator[_Answer]:
        """A pass that `begin` begins at a frame; a decoder that dies is replaced once, and the pass goes on where it stopped."""
        wanted = 1
        failures = 0
        while True:
            try:
                with self._borrowed() as (decoder, header):
                    for item in begin(decoder, header, wanted):
                        yield item
                        wanted, failures = wanted + 1, 0
                    return
            except DecoderCrashed as error:
                failures += 1
                if failures == _TRIES:
                    raise _crashed() from error

    def _picture(self, number: int) -> Pixels:
        self._check(number)
        return self._retry(lambda decoder, header: decoder.picture(header, number))

    def _samples(self, number: int) -> tuple[bytes, bool]:
        self._check(number)
        return self._retry(lambda decoder, header: decoder.samples(header, number))

    def _check(self, number: int) -> None:
        if not 1 <= number <= self._header.number_of_frames:
            raise NotFound(f"The cine has frames 1 to {self._header.number_of_frames}", reason="frame_not_found")

    def _digest(self) -> str:
        if self._pixel_sha256 is None:
            self._pixel_sha256 = self._retry(lambda decoder, _: decoder.pixel_sha256())
        return self._pixel_sha256

    def _retry(self, use: Callable[[Decoder, CineHeader], _Answer]) -> _Answer:
        for _ in range(_TRIES):
            try:
                with self._borrowed() as (decoder, header):
                    return use(decoder, header)
            except DecoderCrashed:
                continue
        raise _crashed()

    @contextmanager
    def _borrowed(self) -> Iterator[tuple[Decoder, CineHeader]]:
        """A decoder that has the file open: a free one of this cine's, or another."""
        with self._lock:
            decoder = self._free.pop() if self._free else None
        if decoder is not None:
            header = self._header
        else:
            decoder, header = self._open_another()
        try:
            yield decoder, header
        finally:
            with self._lock:
                keep = decoder.is_alive() and not self._is_closed
                if keep:
                    self._free.append(decoder)
            if not keep:
                self._reader.give_back(decoder)

    def _open_another(self) -> tuple[Decoder, CineHeader]:
        decoder = self._reader.lease()
        try:
            return decoder, decoder.open(self._path)
        except FileNotFoundError as error:
            self._reader.give_back(decoder)
            raise NotFound("The stored file is gone", reason="file_not_found") from error
        except BaseException:
            self._reader.give_back(decoder)
            raise


def _crashed() -> InputRejected:
    return InputRejected("The decoder died twice at the same place of this instance", reason="decoder_crashed")
