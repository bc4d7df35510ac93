"""C-STORE SCU (PS3.4 B): results to a destination, and files for `sonomyo send`.

Bytes go out as they are; only a result of ours is converted, and only for a peer that does not take the syntax it was made in.
"""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pynetdicom.association import Association

from service.adapters.configured_destination import ConfiguredDestination
from service.adapters.store_association import (
    Answer,
    Context,
    Peer,
    accepted_contexts,
    file_in_memory,
    judge,
    open_association,
    send,
    store,
)
from service.core.dicom_file import IMPLICIT_LITTLE_ENDIAN
from service.core.outgoing_syntax import convert, syntaxes_of
from service.destination_settings import DicomDestinationSettings
from service.errors import InputRejected, SonomyoError, Unavailable
from service.records import RenderedObject

#: A-ASSOCIATE-RQ has odd context identifiers from 1 to 255 (PS3.8 9.3.2.2).
_MAXIMUM_CONTEXTS = 128
_VERIFICATION = "1.2.840.10008.1.1"
_MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
_MAXIMUM_UID = 64
#: Laxer than PS3.5 9.1, which has digits and dots only: what can be sent is for the peer to judge.
_SENDABLE_UID = re.compile(r"[0-9A-Za-z._-]+")


class StoreScuDestination(ConfiguredDestination[DicomDestinationSettings]):
    """A destination that takes C-STORE; implements `ports.Destination`."""

    def __init__(self, *, settings: DicomDestinationSettings, calling_ae_title: str) -> None:
        super().__init__(settings=settings)
        self._peer = peer_of(settings, calling_ae_title=calling_ae_title)

    def send(self, rendered: RenderedObject) -> None:
        """Deliver one object on an association of its own.

        Raises Unavailable (no answer, a rejection, 0xA7xx) or InputRejected (no accepted context, 0x0122, 0xA9xx, 0xCxxx, or
        pixels that cannot be converted).
        """
        with file_in_memory(rendered.content) as path:
            offered = _offers(_outgoing(path).context)
            with open_association(self._peer, offered) as association:
                taken = accepted_contexts(association)
                best = next(context for context in offered if context in taken)
                if best == offered[0]:
                    warning = store(association, path, best)
                else:
                    warning = _store_converted(association, rendered.content, best)
        if warning:
            uid = rendered.sop_instance_uid
            structlog.get_logger().warning("stored_with_warning", destination=self.name, sop_instance_uid=uid, warning=warning)


def peer_of(settings: DicomDestinationSettings, *, calling_ae_title: str) -> Peer:
    """Whom the settings of a destination name."""
    return Peer(
        host=settings.host,
        port=settings.port,
        ae_title=settings.ae_title,
        calling_ae_title=calling_ae_title,
        timeout_seconds=settings.timeout_seconds,
        tls=settings.tls,
    )


def _offers(context: Context) -> list[Context]:
    """A context for each syntax, so that the peer takes or leaves each, and the choice between two that it takes is ours."""
    sop_class, made_in = context
    return [(sop_class, syntax) for syntax in syntaxes_of(made_in)]


def _store_converted(association: Association, content: bytes, context: Context) -> str:
    with _spooled(convert(content, context[1])) as path:
        return store(association, path, context)


@contextmanager
def _spooled(pieces: Iterator[bytes]) -> Iterator[Path]:
    """A path to them, in a temporary file without a name, for uncompressed a cine is too large for memory. Raises Unavailable."""
    with tempfile.TemporaryFile() as file:
        try:
            for piece in pieces:
                file.write(piece)
            file.flush()
        except OSError as error:
            raise Unavailable(f"No temporary file can be written: {error.strerror}.", reason="temporary_file") from error
        yield Path(f"/proc/self/fd/{file.fileno()}")


def echo(peer: Peer) -> None:
    """C-ECHO. Raises Unavailable when the peer does not answer it with success."""
    with open_association(peer, [(_VERIFICATION, IMPLICIT_LITTLE_ENDIAN)]) as association:
        status = association.send_c_echo()
        if "Status" not in status or status.Status != 0:
            raise Unavailable("The peer took the association and did not answer C-ECHO with success.", reason="echo_failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class SendResult:
    """What became of one file; `message` is the reason of a refusal, or a warning.

    `comment` is the peer's own, for the eyes of the person who sends and for no log: it may hold a name.
    """

    path: Path
    ok: bool
    message: str = ""
    comment: str = ""
    sop_instance_uid: str | None = None
    size_bytes: int = 0


#: Called after each file with its result and the number of files.
Progress = Callable[[SendResult, int], None]


def send_paths(
    paths: Sequence[Path],
    *,
    host: str,
    port: int,
    ae_title: str,
    calling_ae_title: str = "SONOMYO",
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
) -> list[SendResult]:
    """Send files and whole folders, each instance in the transfer syntax that it is stored in.

    A file that was named and is no DICOM file is refused; in a folder it is passed over, as is DICOMDIR. One refusal
    does not end the rest; a lost association is opened anew for the next instance.
    """
    peer = Peer(host=host, port=port, ae_title=ae_title, calling_ae_title=calling_ae_title, timeout_seconds=timeout_seconds)
    refused, outgoing = _sorted_out(paths)
    total = len(refused) + len(outgoing)
    results = []
    for result in (*refused, *_sent(peer, outgoing)):
        results.append(result)
        if progress is not None:
            progress(result, total)
    return results


@dataclass(frozen=True, slots=True)
class _Outgoing:
    path: Path
    context: Context
    sop_instance_uid: str

    def result(self, *, ok: bool, message: str, comment: str = "") -> SendResult:
        return SendResult(
            path=self.path,
            ok=ok,
            message=message,
            comment=comment,
            sop_instance_uid=self.sop_instance_uid,
            size_bytes=self.path.stat().st_size,
        )


def _sorted_out(paths: Sequence[Path]) -> tuple[list[SendResult], list[_Outgoing]]:
    refused, outgoing = [], []
    for path, was_named in _files(paths):
        try:
            one = _outgoing(path)
        except InputRejected as error:
            if was_named:
                refused.append(SendResult(path=path, ok=False, message=str(error)))
        else:
            outgoing.append(one)
    return refused, outgoing


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Every file once, and whether it was named rather than found in a folder."""
    for path in paths:
        if path.is_dir():
            yield from ((file, False) for file in sorted(path.rglob("*")) if file.is_file())
        else:
            yield path, True


def _outgoing(path: Path) -> _Outgoing:
    """Raises InputRejected."""
    try:
        meta = read_file_meta_info(path)
        context = (str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
        sop_instance_uid = str(meta.MediaStorageSOPInstanceUID)
    except (InvalidDicomError, AttributeError) as error:
        raise InputRejected("it is no DICOM file with File Meta Information", reason="not_a_dicom_file") from error
    except OSError as error:
        raise InputRejected(f"it cannot be read: {error.strerror}", reason="unreadable") from error
    if context[0] == _MEDIA_STORAGE_DIRECTORY:
        raise InputRejected("a DICOMDIR is not sent", reason="dicomdir")
    for name, uid in zip(("SOP Class", "Transfer Syntax", "SOP Instance"), (*context, sop_instance_uid), strict=True):
        _check_uid(name, uid)
    return _Outgoing(path, context, sop_instance_uid)


def _check_uid(name: str, uid: str) -> None:
    if len(uid) > _MAXIMUM_UID:
        raise InputRejected(
            f"its {name} UID has {len(uid)} characters, and a UID has {_MAXIMUM_UID} at most", reason="invalid_uid"
        )
    if not _SENDABLE_UID.fullmatch(uid):
        raise InputRejected(f"its {name} UID is not made of digits and dots", reason="invalid_uid")


def _sent(peer: Peer, outgoing: Sequence[_Outgoing]) -> Iterator[SendResult]:
    for batch in _batches(outgoing):
        waiting = list(batch)
        while waiting:
            before = len(waiting)
            try:
                with open_association(peer, dict.fromkeys(one.context for one in waiting)) as association:
                    while waiting and association.is_established:
                        yield _stored(association, waiting.pop(0))
                if len(waiting) == before:
                    raise Unavailable("The peer took the association and ended it at once.", reason="no_association")
            except SonomyoError as error:
                yield from (one.result(ok=False, message=str(error)) for one in waiting)
                break


def _batches(outgoing: Sequence[_Outgoing]) -> Iterator[list[_Outgoing]]:
    """Consecutive instances that fit the contexts of one association."""
    batch: list[_Outgoing] = []
    contexts: set[Context] = set()
    for one in outgoing:
        if one.context not in contexts and len(contexts) == _MAXIMUM_CONTEXTS:
            yield batch
            batch, contexts = [], set()
        batch.append(one)
        contexts.add(one.context)
    yield batch


def _stored(association: Association, one: _Outgoing) -> SendResult:
    answer = Answer(0)
    try:
        answer = send(association, one.path, one.context)
        return one.result(ok=True, message=judge(answer), comment=answer.comment)
    except SonomyoError as error:
        return one.result(ok=False, message=str(error), comment=answer.comment)
