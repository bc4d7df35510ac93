"""What is kept of instances, analyses, studies and objects, as rows give it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from service.core.conditions import Arrival
from service.core.findings import Finding
from service.core.instance import ContentDigest, InstanceAttributes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedInstance:
    """A durable file (already fsynced and renamed) about to become a row."""

    attributes: InstanceAttributes
    digest: ContentDigest
    storage_key: str
    size_bytes: int
    calling_ae_title: str | None = None
    called_ae_title: str | None = None
    peer_address: str | None = None
    association_id: int | None = None

    @property
    def arrival(self) -> Arrival:
        """As rules look at it."""
        return Arrival(self.attributes, self.called_ae_title, self.calling_ae_title)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstance:
    """One row of `instances`."""

    instance_id: int
    attributes: InstanceAttributes
    digest: ContentDigest
    storage_key: str
    size_bytes: int
    #: current, identical, corrected, conflict or returned: how it was judged when it came.
    disposition: str
    #: False for a second arrival of the very same bytes.
    is_new: bool
    identity_changed: bool
    #: The study of the row that this one superseded; another one when the study was corrected.
    previous_study_instance_uid: str | None
    is_current: bool
    is_returned: bool
    called_ae_title: str | None
    calling_ae_title: str | None
    received_at: datetime

    @property
    def arrival(self) -> Arrival:
        """As rules look at it."""
        return Arrival(self.attributes, self.called_ae_title, self.calling_ae_title)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnalysis:
    """One row of `analyses`: what one analysis made of one instance's pixels."""

    instance_id: int
    sop_instance_uid: str
    analysis_name: str
    analysis_version: str
    state: str
    why: str
    #: The name of the rule that selected it; None for one of an earlier version of this software.
    rule: str | None = None
    findings: tuple[Finding, ...] = ()
    #: A PNG of the frame that shows the findings best, lines drawn; for the report page.
    picture: bytes | None = None
    #: What the network drew in every frame (`Masks.to_bytes`); None where nothing was drawn.
    masks: bytes | None = None
    failure: str | None = None
    #: By model name: which version a person or program asked for; other models run as the analysis names them.
    model_versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowAnalysis:
    """One row of `shadow_analyses`: what models in shadow mode made of an instance beside what is reported of it."""

    instance_id: int
    analysis_name: str
    analysis_version: str
    #: Of the models in shadow, by name.
    model_versions: Mapping[str, str]
    findings: tuple[Finding, ...]
    served_findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedObject:
    """One object that we made: rendered once, its bytes kept and re-sent as they are.

    Where a report has several of one kind, each has its number behind it: `seg.1`.
    """

    sop_instance_uid: str
    sop_class_uid: str
    kind: str
    report_id: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyState:
    """A study row, locked for the transaction that read it."""

    study_instance_uid: str
    #: When something that routing selects last arrived; None when nothing did.
    last_selected_at: datetime | None
    completed_at: datetime | None
    #: Set when a person or program asked for the report at once.
    completion_requested: bool
    #: Associations still open that brought an instance of this study.
    open_associations: int
    unfinished_analyses: int
    #: True when the analyses hold something that the newest report version does not.
    is_stale: bool
    #: True when the identity changed and nobody has acknowledged it: deliveries wait.
    identity_hold: bool
