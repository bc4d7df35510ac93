"""What all associations of one listener share."""

import threading
import time
from dataclasses import dataclass

from service.adapters.incoming import IncomingFolder
from service.adapters.listener_admission import Admission
from service.adapters.listener_hooks import CommitmentHooks, Gate, SaveInstance
from service.adapters.listener_record import AssociationArchive
from service.core.association_policy import AssociationPolicy
from service.ports import InstanceStore
from service.settings import DicomSettings

_GATE_SECONDS = 1.0


class CachedGate:
    """Asks the gate once a second at most, whatever the rate of instances."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._lock = threading.Lock()
        self._answer: str | None = None
        self._until = 0.0

    def __call__(self) -> str | None:
        """The last answer, or a new one. Raises what the gate raises."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._answer = self._gate()
                # A refusal is asked again soon, so that a mended trouble is not felt longer than it lasts.
                self._until = time.monotonic() + (_GATE_SECONDS if self._answer is None else _GATE_SECONDS / 4)
            return self._answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerServices:
    """One object instead of nine arguments."""

    settings: DicomSettings
    store: InstanceStore
    incoming: IncomingFolder
    save: SaveInstance
    gate: Gate
    archive: AssociationArchive
    admission: Admission
    policy: AssociationPolicy
    #: None where Storage Commitment is not offered.
    commitments: CommitmentHooks | None = None
