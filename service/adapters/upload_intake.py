"""An instance that came by HTTP takes the listener's path: incoming folder, scan, fsync, rename, one commit."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from service.adapters.incoming import IncomingFile
from service.adapters.instance_store import FileInstanceStore, read_instance
from service.errors import InputRejected, Unavailable
from service.ports import ReceivedInstance, StoredInstance


class UploadIntake:
    """Implements api.uploads.Intake."""

    def __init__(
        self,
        *,
        store: FileInstanceStore,
        save: Callable[[ReceivedInstance], StoredInstance],
        gate: Callable[[], str | None],
        sop_classes: Collection[str],
        transfer_syntaxes: Collection[str],
    ) -> None:
        self._store = store
        self._save = save
        self._gate = gate
        self._sop_classes = frozenset(sop_classes)
        self._transfer_syntaxes = frozenset(transfer_syntaxes)

    @contextmanager
    def begin(self) -> Iterator[IncomingFile]:
        """A new, locked file on the store's own file system. Raises Unavailable when there is no room."""
        refusal = self._gate()
        if refusal is not None:
            raise Unavailable(refusal, reason="no_room")
        try:
            creating = self._store.incoming.create()
            file = creating.__enter__()
        except OSError as error:
            raise Unavailable("The instance store cannot take a new file.", reason="store") from error
        try:
            yield file
        finally:
            creating.__exit__(None, None, None)

    def keep(self, incoming: IncomingFile, *, peer_address: str | None) -> StoredInstance:
        """Durable and committed when it returns. Raises InputRejected, Unavailable."""
        attributes, digest = read_instance(incoming.path)
        if attributes.sop_class_uid not in self._sop_classes:
            raise InputRejected(f"SOP class {attributes.sop_class_uid} is not taken.", reason="sop_class_not_supported")
        if attributes.transfer_syntax_uid not in self._transfer_syntaxes:
            raise InputRejected("The transfer syntax is not one that is taken.", reason="transfer_syntax_not_supported")
        size = incoming.path.stat().st_size
        key = self._store.adopt(incoming.path, digest)
        return self._save(
            ReceivedInstance(attributes=attributes, digest=digest, storage_key=key, size_bytes=size, peer_address=peer_address)
        )
