"""An instance that came by HTTP takes the listener's path: incoming folder, scan, fsync, rename, one commit."""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from service.adapters.incoming import IncomingFile
from service.adapters.instance_store import FileInstanceStore, read_instance
from service.adapters.keeping import keep_instance
from service.core.instance import ContentDigest, InstanceAttributes
from service.errors import InputRejected, Unavailable
from service.records import ReceivedInstance, StoredInstance


class UploadIntake:
    """Implements api.uploads.Intake; each file takes the same steps as one that came by C-STORE."""

    def __init__(
        self,
        *,
        store: FileInstanceStore,
        save: Callable[[ReceivedInstance], StoredInstance],
        gate: Callable[[], str | None],
        sop_classes: Collection[str],
        transfer_syntaxes: Collection[str],
        maximum_object_bytes: int,
        maximum_inflated_bytes: int | None = None,
    ) -> None:
        self._store = store
        self._save = save
        self._gate = gate
        self._sop_classes = frozenset(sop_classes)
        self._transfer_syntaxes = frozenset(transfer_syntaxes)
        self.maximum_object_bytes = maximum_object_bytes
        self._maximum_inflated_bytes = maximum_inflated_bytes

    @contextmanager
    def begin(self) -> Iterator["UploadedFile"]:
        """A new, locked file on the store's own file system. Raises Unavailable when there is no room."""
        refusal = self._gate()
        if refusal is not None:
            raise Unavailable(refusal, reason="no_room")
        with ExitStack() as resources:
            try:
                file = resources.enter_context(self._store.incoming.create())
            except OSError as error:
                raise Unavailable("The instance store cannot take a new file.", reason="store") from error
            yield UploadedFile(self, file)

    def read(self, path: Path) -> tuple[InstanceAttributes, ContentDigest]:
        """What the file says of itself. Raises InputRejected, Unavailable."""
        return read_instance(path, maximum_inflated_bytes=self._maximum_inflated_bytes)

    def keep(
        self, path: Path, attributes: InstanceAttributes, digest: ContentDigest, *, peer_address: str | None
    ) -> StoredInstance:
        """Durable and committed when it returns. Raises InputRejected, Unavailable."""
        if attributes.sop_class_uid not in self._sop_classes:
            raise InputRejected(f"SOP class {attributes.sop_class_uid} is not taken.", reason="sop_class_not_supported")
        if attributes.transfer_syntax_uid not in self._transfer_syntaxes:
            raise InputRejected("The transfer syntax is not one that is taken.", reason="transfer_syntax_not_supported")
        size = path.stat().st_size

        def describe(storage_key: str) -> ReceivedInstance:
            return ReceivedInstance(
                attributes=attributes, digest=digest, storage_key=storage_key, size_bytes=size, peer_address=peer_address
            )

        return keep_instance(path, digest, store=self._store, save=self._save, describe=describe)


class UploadedFile:
    """Implements api.uploads.Incoming."""

    def __init__(self, intake: UploadIntake, file: IncomingFile) -> None:
        self._intake = intake
        self._file = file
        self._size = 0
        #: What it says of itself; None until `keep` has read it.
        self.attributes: InstanceAttributes | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Raises OSError, and InputRejected when it is larger than any object that is taken."""
        self._size += len(data)
        if self._size > self._intake.maximum_object_bytes:
            most = self._intake.maximum_object_bytes
            raise InputRejected(f"The instance is larger than the {most} bytes that are taken of one.", reason="object_too_large")
        self._file.write(data)

    def keep(self, *, peer_address: str | None, study_instance_uid: str | None = None) -> StoredInstance:
        """Into the study that is named, or whichever it says. Raises InputRejected, Unavailable."""
        attributes, digest = self._intake.read(self._file.path)
        self.attributes = attributes
        if study_instance_uid not in (None, attributes.study_instance_uid):
            raise InputRejected("The instance belongs to another study than the address names.", reason="study_mismatch")
        return self._intake.keep(self._file.path, attributes, digest, peer_address=peer_address)
