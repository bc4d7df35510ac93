"""The only file that turns Settings into live objects.

Parts are imported where they are made: a listener must not carry renderers, decoders and inference in its memory.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from service.adapters.instance_store import FileInstanceStore
from service.adapters.jobs import make_deferring_app
from service.adapters.postgres import make_engine, make_unit_of_work_factory
from service.adapters.usual_arrival import PostgresArrivals
from service.commitment import Commitments
from service.commitment_ports import CommittingDestination
from service.core.analyses.analysis import Analysis, ModelSpec, apart
from service.core.compose import Software
from service.core.rules_file import Rules, read_rules
from service.destination_settings import (
    DestinationSettings,
    DicomDestinationSettings,
    FhirDestinationSettings,
    MllpDestinationSettings,
    StowDestinationSettings,
    WebhookDestinationSettings,
)
from service.dispatch import Dispatch
from service.errors import InputRejected, Unavailable
from service.explanation import Explainer
from service.flow import Flow
from service.ports import Destination, InferenceServer, UnitOfWorkFactory
from service.review import Review
from service.settings import Settings, check_postgres_url

if TYPE_CHECKING:
    from service.adapters.cine_decoder import FileCineReader
    from service.adapters.triton import TritonInferenceServer
    from service.rendering import Rendering


@dataclass(frozen=True)
class Service:
    """The parts of one process, made when first asked for; a listener never opens Triton."""

    settings: Settings

    @cached_property
    def engine(self) -> Engine:
        """Raises Unavailable when no database is configured."""
        return make_engine(database_url(self.settings), pool_size=self.settings.database.pool_size)

    @cached_property
    def units(self) -> UnitOfWorkFactory:
        """Opens transactions."""
        return make_unit_of_work_factory(engine=self.engine, procrastinate=make_deferring_app())

    @cached_property
    def store(self) -> FileInstanceStore:
        """Where instances lie."""
        return FileInstanceStore(root=store_root(self.settings))

    @cached_property
    def server(self) -> "TritonInferenceServer":
        """Raises Unavailable when no Triton is configured."""
        from service.adapters.triton import TritonInferenceServer

        triton = self.settings.triton
        url = triton.url or _embedded(self.settings).get("triton")
        if url is None:
            raise Unavailable("No Triton is configured: set SONOMYO_TRITON__URL, or run `sonomyo up`, which brings its own.")
        return TritonInferenceServer(
            url=url,
            deadline_seconds=triton.deadline_seconds,
            batches_in_flight=triton.batches_in_flight,
            shared_memory=triton.shared_memory,
        )

    @cached_property
    def reader(self) -> "FileCineReader":
        """Opens stored files in a sandboxed process."""
        from service.adapters.cine_decoder import FileCineReader

        worker = self.settings.worker
        return FileCineReader(
            memory_bytes=worker.decoder_memory_bytes, timeout_seconds=worker.decoder_timeout_seconds, spares=worker.concurrency
        )

    @cached_property
    def analyses(self) -> Mapping[str, Analysis]:
        """Every analysis that this version knows, by name."""
        from service.core.analyses.motor_units import MotorUnits
        from service.core.analyses.muscle_architecture import MuscleArchitecture
        from service.core.analyses.muscle_state import MuscleState
        from service.core.analyses.myofascial_pain import MyofascialPain
        from service.core.analyses.wrist_hand import WristHand

        known: tuple[Analysis, ...] = (MuscleArchitecture(), MyofascialPain(), MuscleState(), WristHand(), MotorUnits())
        return {analysis.name: analysis for analysis in known}

    @cached_property
    def models(self) -> Sequence[ModelSpec]:
        """Every model that the analyses need."""
        wanted = {model.model_name: model for analysis in self.analyses.values() for model in analysis.models}
        return tuple(wanted.values())

    @cached_property
    def destinations(self) -> Mapping[str, Destination]:
        """Where results go, by name."""
        return {settings.name: self._destination(settings) for settings in self.settings.destinations}

    @cached_property
    def rules(self) -> Rules:
        """Rules of the file, or the built-in ones, with the called AE titles of the settings.

        Raises InputRejected naming the setting, the file and what is wrong in it.
        """
        path = self.settings.routing_file
        return self._with_ae_titles(Rules() if path is None else self._rules_of(path, f"setting SONOMYO_ROUTING_FILE: {path}"))

    def rules_of(self, path: Path) -> Rules:
        """The same with another file, to try it. Raises InputRejected naming it and what is wrong in it."""
        return self._with_ae_titles(self._rules_of(path, str(path)))

    def _rules_of(self, path: Path, place: str) -> Rules:
        takes = {destination.name: destination.kinds for destination in self.settings.destinations}
        try:
            return read_rules(path.read_text(encoding="utf-8"), self.analyses, takes)
        except InputRejected as error:
            wrong = str(error)
        except UnicodeDecodeError:
            wrong = "it is no text in UTF-8"
        except OSError as error:
            wrong = error.strerror or "it cannot be read"
        raise InputRejected(f"{place}: {' '.join(wrong.split())}", reason="routing_file_invalid")

    def _with_ae_titles(self, rules: Rules) -> Rules:
        ae_titles = self.settings.dicom.analysis_ae_titles
        try:
            return rules.with_ae_titles(ae_titles)
        except ValueError as error:
            unknown = ", ".join(sorted(set(ae_titles.values()) - {rule.analysis for rule in rules.rules}))
            raise InputRejected(
                f"setting SONOMYO_DICOM__ANALYSIS_AE_TITLES: there is no rule for the analysis {unknown}",
                reason="invalid_setting",
            ) from error

    @cached_property
    def software(self) -> Software:
        """What reports name as their maker."""
        return Software(service_version=service_version(), configuration_sha256=configuration_sha256(self.settings))

    @cached_property
    def flow(self) -> Flow:
        """The steps of the story."""
        return Flow(
            units=self.units,
            arrivals=PostgresArrivals(engine=self.engine),
            store=self.store,
            reader=self.reader,
            server=self._lazy_server(),
            analyses=self.analyses,
            destinations=self.destinations,
            renderers=self.rendering.renderers(self._wanted_kinds()),
            rules=self.rules,
            stable_age_seconds=self.settings.stable_age_seconds,
            software=self.software,
            shadow_models=self._shadow_models(),
            capture=self.rendering.capture_stored if "sc" in self._wanted_kinds() else None,
            rejections=self.rendering.rejection_notes(),
            commitments=self.commitments,
            delivery_rules=self.rules.delivery_rules,
        )

    @cached_property
    def explainer(self) -> Explainer:
        """Tells which rule chose what."""
        return Explainer(units=self.units, rules=self.rules, dispatch=Dispatch(self.destinations, self.rules.delivery_rules))

    @cached_property
    def review(self) -> Review:
        """What a person does to reports."""
        return Review(
            units=self.units,
            publication=self.flow.publication,
            software=self.software,
            organization=self.settings.organization,
        )

    @cached_property
    def commitments(self) -> Commitments:
        """Storage Commitment in both roles."""
        from service.adapters.commitment_scu import CommitmentPeer, CommitmentScu, peer_to_ask

        ae_title = self.settings.dicom.ae_title
        asked: dict[str, CommittingDestination] = {}
        for each in self.settings.destinations:
            if isinstance(each, DicomDestinationSettings) and each.commitment is not None:
                peer = peer_to_ask(each, each.commitment, calling_ae_title=ae_title)
                asked[each.name] = CommitmentScu(peer=peer, settings=each.commitment)
            elif isinstance(each, StowDestinationSettings) and each.confirm_by_search is not None:
                from service.adapters.stow_confirmation import StowConfirmation

                asked[each.name] = StowConfirmation(settings=each, search=each.confirm_by_search)
        peers = {each.ae_title: CommitmentPeer(settings=each) for each in self.settings.dicom.peers}
        return Commitments(units=self.units, store=self.store, destinations=asked, peers=peers)

    @cached_property
    def rendering(self) -> "Rendering":
        """What is made of a report."""
        from service.rendering import Rendering

        return Rendering(language=self.settings.language)

    def _wanted_kinds(self) -> frozenset[str]:
        return frozenset(kind for destination in self.settings.destinations for kind in destination.kinds)

    def _shadow_models(self) -> Mapping[str, str]:
        """Raises InputRejected naming the setting and a model that no analysis uses."""
        known = {model.model_name for model in self.models}
        if unknown := sorted(set(self.settings.shadow_models) - known):
            said = f"no analysis uses a model {', '.join(unknown)}; those in use: {', '.join(sorted(known))}"
            raise InputRejected(f"setting SONOMYO_SHADOW_MODELS: {said}", reason="invalid_setting")
        for analysis in self.analyses.values():
            if alone := apart(analysis, self.settings.shadow_models):
                raise InputRejected(f"setting SONOMYO_SHADOW_MODELS: {alone}", reason="invalid_setting")
        return self.settings.shadow_models

    def _lazy_server(self) -> InferenceServer:
        from service.adapters.triton import LazyInferenceServer

        return LazyInferenceServer(lambda: self.server)

    def _destination(self, settings: DestinationSettings) -> Destination:
        match settings:
            case StowDestinationSettings():
                from service.adapters.stow import StowDestination

                return StowDestination(settings=settings)
            case MllpDestinationSettings():
                from service.adapters.mllp import MllpDestination

                return MllpDestination(settings=settings)
            case WebhookDestinationSettings():
                from service.adapters.webhook import WebhookDestination

                return WebhookDestination(settings=settings)
            case FhirDestinationSettings():
                from service.adapters.fhir_server import FhirDestination

                return FhirDestination(settings=settings)
            case DicomDestinationSettings():
                from service.adapters.store_scu import StoreScuDestination

                return StoreScuDestination(settings=settings, calling_ae_title=self.settings.dicom.ae_title)

    def close(self) -> None:
        """Close what this process made of Triton's client and the decoders; needs no call when the process is killed."""
        made = vars(self)
        for name in ("server", "reader"):
            if name in made:
                made[name].close()


def service_version() -> str:
    """The installed version."""
    return importlib.metadata.version("sonomyo")


def configuration_sha256(settings: Settings) -> str:
    """A fingerprint of the settings, secrets left out, so that two reports can be told apart by their configuration."""
    public = settings.model_dump_json(exclude={"api": True, "database": True})
    return hashlib.sha256(public.encode()).hexdigest()


def database_url(settings: Settings) -> str:
    """The address of PostgreSQL. Raises Unavailable when none is configured."""
    database = settings.database
    if database.url is not None:
        return database.url.get_secret_value()
    if database.url_file is not None:
        return _read_database_url(database.url_file)
    embedded = _embedded(settings).get("database")
    if embedded is not None:
        return embedded
    raise Unavailable("No database is configured: set SONOMYO_DATABASE__URL, or run `sonomyo up`, which brings its own.")


def _read_database_url(path: Path) -> str:
    """Raises InputRejected naming the setting and the file, never what is in it."""
    setting = f"setting SONOMYO_DATABASE__URL_FILE, {path}"
    try:
        url = path.read_text(encoding="utf-8").strip()
        check_postgres_url(url)
    except OSError as error:
        raise InputRejected(f"{setting}: it cannot be read: {error.strerror}", reason="database_url") from error
    except UnicodeDecodeError:
        raise InputRejected(f"{setting}: this is no text in UTF-8", reason="database_url") from None
    except ValueError as error:
        raise InputRejected(f"{setting}: {error}", reason="database_url") from None
    return url


def store_root(settings: Settings) -> Path:
    """The folder of the instance store."""
    url = settings.store.url
    return settings.data_dir / "store" if url is None else Path(url.removeprefix("file:"))


def remember_embedded(settings: Settings, database: str | None, triton: str | None) -> None:
    """Write down where the embedded servers of this data folder are, so that `sonomyo keys` or `doctor` find them."""
    path = _embedded_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"database": database, "triton": triton}), encoding="utf-8")


def _embedded(settings: Settings) -> dict[str, str | None]:
    path = _embedded_file(settings)
    found: dict[str, str | None] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _embedded_file(settings: Settings) -> Path:
    return settings.data_dir / "run" / "embedded.json"
