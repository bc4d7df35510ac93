"""An instance that came by HTTP takes the listener's path: incoming folder, scan, fsync, rename, one commit."""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from service.adapters.incoming import IncomingFile
from service.adapters.instance_store import FileInstanceStore, read_instance
from service.adapters.keeping import keep_instance
from service.errors import InputRejected, Unavailable
from service.ports import ReceivedInstance, StoredInstance


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
        maximum_inflated_bytes: int | None = None,
    ) -> None:
        self._store = store
        self._save = save
        self._gate = gate
        self._sop_classes = frozenset(sop_classes)
        self._transfer_syntaxes = frozenset(transfer_syntaxes)
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

    def keep(self, path: Path, *, peer_address: str | None) -> StoredInstance:
        """Durable and committed when it returns. Raises InputRejected, Unavailable."""
        attributes, digest = read_instance(path, maximum_inflated_bytes=self._maximum_inflated_bytes)
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

    def write(self, data: bytes | memoryview) -> None:
        """Raises OSError."""
        self._file.write(data)

    def keep(self, *, peer_address: str | None) -> StoredInstance:
        """Raises InputRejected, Unavailable."""
        return self._intake.keep(self._file.path, peer_address=peer_address)
