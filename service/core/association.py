"""What is remembered of an association: who, what was offered, accepted and refused and why, and how it went."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

#: Failures kept of one association; the rest is only counted.
MAXIMUM_FAILURES = 50

Outcome = Literal["open", "released", "aborted_by_peer", "aborted", "rejected", "connection_lost", "timed_out", "drained"]


class _Value(BaseModel):
    """Frozen, and closed to unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ContextRecord(_Value):
    """One presentation context (PS3.8 9.3.2.2, 9.3.3.2): the offer and the answer."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    #: 0 accepted, 1 user rejection, 3 abstract syntax not supported, 4 transfer syntaxes not supported.
    result: int
    accepted_transfer_syntax: str | None = None
    #: Why it was refused, for people; empty when accepted.
    why: str = ""


class Rejection(_Value):
    """An A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    result: int
    source: int
    reason: int
    why: str


class StoreFailure(_Value):
    """One instance that was refused."""

    #: None when the command gave no valid UID.
    sop_instance_uid: str | None
    status: int
    error_comment: str
    #: The stable word of the error.
    reason: str


class AssociationRecord(_Value):
    """The whole association, as known when the record is made."""

    peer_address: str
    peer_port: int
    tls: bool = False
    calling_ae_title: str | None = None
    called_ae_title: str | None = None
    implementation_class_uid: str | None = None
    implementation_version_name: str | None = None
    contexts: tuple[ContextRecord, ...] = ()
    outcome: Outcome = "open"
    rejection: Rejection | None = None
    #: What ended it, for people, when it did not end by release.
    why: str = ""
    instances_stored: int = 0
    instances_refused: int = 0
    bytes_received: int = 0
    echoes: int = 0
    duration_seconds: float = 0.0
    failures: tuple[StoreFailure, ...] = ()
