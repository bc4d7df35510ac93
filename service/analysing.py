"""What the steps that analyse do with one cine: decode it, ask the networks, measure; and which versions may be asked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from service.core.analyses.analysis import Analysis, ModelSpec, apart
from service.core.evidence import draw_evidence, not_measured
from service.core.findings import Finding
from service.core.masks import MaskKeeper
from service.errors import InputRejected, ModelContractError, NotFound, NotMeasurable
from service.ports import CineReader, InferenceServer, InstanceStore
from service.records import StoredAnalysis, StoredInstance


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyser:
    """Runs outside any transaction; whoever asks keeps what comes of it."""

    reader: CineReader
    store: InstanceStore
    server: InferenceServer
    analyses: Mapping[str, Analysis]

    def named(self, name: str) -> Analysis:
        """Raises NotFound."""
        try:
            return self.analyses[name]
        except KeyError as error:
            raise NotFound(f"There is no analysis named {name}; the routing rules and this version disagree.") from error

    def run(self, analysis: Analysis, instance: StoredInstance, opened: StoredAnalysis) -> StoredAnalysis:
        """What was opened, closed; with the reason where the cine is not fit. Raises Unavailable, ModelContractError."""
        picture: bytes | None = None
        state, failure, keeper = "done", None, MaskKeeper()
        try:
            with self.reader.open(self.store.path(instance.storage_key)) as cine:
                findings: tuple[Finding, ...] = analysis.analyse(
                    cine,
                    lambda model, batches: self.server.infer(_pinned(model, opened.model_versions), batches),
                    lambda model: self.server.describe(_pinned(model, opened.model_versions)),
                    keeper,
                )
                picture = draw_evidence(cine, findings)
        except (InputRejected, NotMeasurable) as refused:
            state, failure = "rejected", f"{refused.reason}: {refused}"
            findings = (not_measured(analysis, instance.attributes.sop_instance_uid, refused),)
        masks = keeper.kept() if state == "done" else None
        return replace(
            opened,
            analysis_version=analysis.version,
            state=state,
            findings=findings,
            picture=picture,
            masks=None if masks is None else masks.to_bytes(),
            failure=failure,
        )

    def check(self, model_versions: Mapping[str, str]) -> None:
        """Whether these versions, by model, are served and fit. Raises InputRejected, Unavailable."""
        used = {spec.model_name: spec for analysis in self.analyses.values() for spec in analysis.models}
        for name, version in model_versions.items():
            if name not in used:
                known = ", ".join(sorted(used)) or "none"
                raise InputRejected(f"No analysis uses a model {name}; those in use: {known}.", reason="model_unknown")
            served = self.server.versions(used[name])
            if version not in served:
                said = f"Version {version} of {name} is not served; there is {', '.join(served) or 'none'}."
                raise InputRejected(said, reason="model_version_unknown")
        for analysis in self.analyses.values():
            if alone := apart(analysis, model_versions):
                raise InputRejected(alone, reason="model_versions_apart")
        try:
            self.server.check([_pinned(used[name], model_versions) for name in model_versions])
        except ModelContractError as error:
            raise InputRejected(str(error), reason="model_version_unfit") from error


def _pinned(model: ModelSpec, model_versions: Mapping[str, str]) -> ModelSpec:
    """The model in the version that was asked for, else as the analysis names it."""
    return replace(model, model_version=model_versions.get(model.model_name, model.model_version))
