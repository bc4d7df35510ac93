"""Everything that can be set, read once in `__main__`: SONOMYO_* variables, a .env file, or --config FILE.toml."""

import os
import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from service.core.languages import LanguageTag
from service.destination_settings import DestinationSettings, TlsSettings
from service.errors import InputRejected
from service.setting_types import AeTitle, ListeningPort, Port, Seconds, Section

Kind = Literal["sr", "html"]
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]]+):(\d{1,5})")
_MOST_PORT = 65535


def _host_and_port(text: str) -> str:
    found = _HOST_AND_PORT.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= _MOST_PORT:
        raise ValueError("give HOST:PORT, without a scheme")
    return text


def _web_address(text: str) -> str:
    found = re.fullmatch(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?", text)
    if found is None or not 1 <= int(found[1] or 1) <= _MOST_PORT:
        raise ValueError("give https://HOST or https://HOST:PORT, without a path")
    return text


def _file_url(text: str) -> str:
    """`file:/path` from `file:/path` or `file:///path` (RFC 8089)."""
    found = re.fullmatch(r"file:(?://)?(/[^/].*)", text.strip())
    if found is None or ".." in Path(found[1]).parts:
        raise ValueError("give file: and an absolute path, such as file:/var/lib/sonomyo; nothing else is supported")
    return f"file:{found[1]}"


def check_postgres_url(text: str) -> None:
    """Raises ValueError, without the URL, which holds a password."""
    try:
        url = make_url(text)
        right = url.get_backend_name() in ("postgresql", "postgres") and 0 < (url.port or 1) <= _MOST_PORT
    except (ArgumentError, ValueError):
        right = False
    if not right:
        raise ValueError("give PostgreSQL's address as postgresql://USER:PASSWORD@HOST:PORT/DATABASE")


class AllowedPeer(Section):
    """One row of the allow-list; an absent field allows any. AE titles alone are no authentication."""

    ae_title: AeTitle | None = None
    address: IPv4Network | IPv6Network | None = None


class KnownPeer(Section):
    """Where a peer that asks us for Storage Commitment takes our report (PS3.4 J.3.3)."""

    ae_title: AeTitle
    host: str
    port: Port
    #: Bounds each wait.
    timeout_seconds: Seconds = 30.0
    #: In the clear without it.
    tls: TlsSettings | None = None


class DicomSettings(Section):
    """The DICOM listener."""

    host: str = "127.0.0.1"
    port: ListeningPort = 11112
    ae_title: AeTitle = "SONOMYO"
    #: Called AE title -> analysis name; the main AE title decides by rules.
    analysis_ae_titles: dict[AeTitle, str] = Field(default_factory=dict)
    #: Empty: any peer may associate (with a warning when not on loopback).
    allowed_peers: tuple[AllowedPeer, ...] = ()
    #: Without its row here, a peer gets its reports on the association on which it asked.
    peers: tuple[KnownPeer, ...] = ()
    private_sop_classes: tuple[str, ...] = ()
    accept_deflated: bool = False
    maximum_pdu_size: Annotated[int, Field(ge=4096, le=1 << 20)] = 131072
    #: Processes that take instances beside each other; 0 is two a core, four at most.
    processes: Annotated[int, Field(ge=0, le=64)] = 0
    maximum_associations: Annotated[int, Field(ge=1, le=20)] = 16
    maximum_associations_per_address: Annotated[int, Field(ge=1)] = 8
    maximum_object_bytes: Annotated[int, Field(ge=1 << 20)] = 4 << 30
    maximum_command_bytes: Annotated[int, Field(ge=1 << 10)] = 64 << 10
    #: Seconds for one PDU to arrive once its first byte has; and for the TLS handshake and A-ASSOCIATE-RQ.
    pdu_timeout_seconds: Seconds = 10.0
    #: Seconds an association may stay idle.
    network_timeout_seconds: Seconds = 60.0
    #: Slowest acceptable transfer of an object, bytes a second, judged over `pdu_timeout_seconds`.
    minimum_bytes_per_second: Annotated[int, Field(ge=0)] = 4096
    tls_port: ListeningPort | None = None
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    tls_client_ca_file: Path | None = None

    @field_validator("peers")
    @classmethod
    def _peers_have_distinct_titles(cls, peers: tuple[KnownPeer, ...]) -> tuple[KnownPeer, ...]:
        if len({peer.ae_title for peer in peers}) != len(peers):
            raise ValueError("two have the same AE title")
        return peers

    @model_validator(mode="after")
    def _tls_has_a_certificate(self) -> "DicomSettings":
        if self.tls_port is not None and self.tls_certificate_file is None:
            raise ValueError("a TLS_PORT needs TLS_CERTIFICATE_FILE, and TLS_KEY_FILE unless the same file holds the key")
        return self


class HttpSettings(Section):
    """The REST interface and the pages."""

    host: str = "127.0.0.1"
    port: ListeningPort = 8080
    maximum_upload_bytes: Annotated[int, Field(ge=1 << 10)] = 2 << 30
    #: Behind a reverse proxy that ends TLS, so that cookies are marked Secure.
    secure_cookies: bool = False
    #: Proxies that are believed when they say whom they ask for (X-Forwarded-For); failed attempts are counted by that address.
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    #: What addresses in answers begin with, where it is not what requests say; links of DICOMweb, FHIR and sign-in. Pages may be
    #: asked for by it, too.
    public_url: Annotated[str, AfterValidator(_web_address)] | None = None
    #: A session of an account ends when it is not used for so long, and in any case after so long.
    session_idle_seconds: Seconds = 1800.0
    session_seconds: Seconds = 43_200.0

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_not_everybody(cls, networks: tuple[IPv4Network | IPv6Network, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
        if any(network.prefixlen == 0 for network in networks):
            raise ValueError("a network of all addresses would let every client choose its address; name the proxies alone")
        return networks


class ApiSettings(Section):
    """Access to the REST interface."""

    #: An administrator's key; it cannot sign reports.
    key: SecretStr | None = None
    key_file: Path | None = None


class DatabaseSettings(Section):
    """Where PostgreSQL is; without a URL the embedded one serves."""

    url: SecretStr | None = None
    #: A file that holds the URL (secrets by file).
    url_file: Path | None = None
    pool_size: Annotated[int, Field(ge=1, le=1000)] = 20

    @field_validator("url")
    @classmethod
    def _of_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_postgres_url(value.get_secret_value())
        return value


class TritonSettings(Section):
    """Where Triton's gRPC endpoint is (HOST:PORT); without it the embedded one serves."""

    url: Annotated[str, AfterValidator(_host_and_port)] | None = None
    model_repository: Path = Path("model_repository")
    deadline_seconds: Seconds = 30.0
    batches_in_flight: Annotated[int, Field(ge=1, le=16)] = 3
    #: System shared memory: only with the embedded Triton on loopback.
    shared_memory: Literal["auto", "on", "off"] = "auto"
    #: Folder of the embedded server's own environment, made by `make`.
    environment: Path = Path(".triton")


class StoreSettings(Section):
    """Where instances are kept: `file:/path`; without a URL, inside the data folder."""

    url: Annotated[str, AfterValidator(_file_url)] | None = None
    #: Free bytes below which C-STORE answers 0xA700.
    reserve_bytes: Annotated[int, Field(ge=0)] = 1 << 30


class WorkerSettings(Section):
    """The analysis workers."""

    concurrency: Annotated[int, Field(ge=1, le=32)] = 2
    #: Deadline of one analysis; a hung thread never stalls, so every task has its own.
    task_timeout_seconds: Seconds = 600.0
    #: With a back-off that doubles up to a quarter of an hour: about two and a half hours in all.
    maximum_attempts: Annotated[int, Field(ge=1)] = 20
    decoder_memory_bytes: Annotated[int, Field(ge=256 << 20)] = 1 << 30
    decoder_timeout_seconds: Seconds = 300.0
    #: Waiting analyses above which C-STORE answers 0xA700.
    maximum_queued_jobs: Annotated[int, Field(ge=1)] = 100_000


class RetentionSettings(Section):
    """What may be removed; never what is undelivered or signed."""

    maximum_age_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    #: Free fraction of the store's disk below which the oldest delivered studies are removed.
    minimum_free_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    interval_seconds: Seconds = 3600.0


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix="SONOMYO_",
        env_nested_delimiter="__",
        env_file=".env",
        # Compose writes `NAME: ${NAME:-}` for what is not set.
        env_ignore_empty=True,
        # Another program's variables may lie in the same .env.
        dotenv_filtering="match_prefix",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = Path(".sonomyo")
    stable_age_seconds: Annotated[float, Field(ge=0, le=7_776_000)] = 60.0
    #: Of PDFs that are delivered, and of pages and PDFs for readers who do not say which they want.
    language: LanguageTag = "en"
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    dicom: DicomSettings = DicomSettings()
    http: HttpSettings = HttpSettings()
    api: ApiSettings = ApiSettings()
    database: DatabaseSettings = DatabaseSettings()
    triton: TritonSettings = TritonSettings()
    store: StoreSettings = StoreSettings()
    worker: WorkerSettings = WorkerSettings()
    retention: RetentionSettings = RetentionSettings()
    destinations: tuple[DestinationSettings, ...] = ()
    #: Model name -> version that runs beside the served one; what it says is kept and compared, never reported or sent.
    shadow_models: dict[str, Annotated[str, Field(pattern=r"^[1-9][0-9]*$")]] = {}
    #: The institution that signatures are for, as signed objects name it (VerifyingOrganization).
    organization: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\\\x00-\x1f\x7f]+$")] | None = None
    #: Routing rules (TOML); without it the built-in rules serve.
    routing_file: Path | None = None

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @model_validator(mode="after")
    def _destinations_have_distinct_names(self) -> "Settings":
        names = [destination.name for destination in self.destinations]
        if len(set(names)) != len(names):
            raise ValueError("destinations: two have the same name")
        return self


class _TomlSettings(Settings):
    """Settings with a TOML file beneath the environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls)
        return (init_settings, env_settings, dotenv_settings, toml, file_secret_settings)


def read_settings(config: Path | None) -> Settings:
    """The environment over .env over `config`.

    Raises pydantic's ValidationError naming each wrong setting, InputRejected naming variables that mean nothing: pydantic
    passes those over, and a misspelt SONOMYO_DESTINATIONS would be a hospital without results.
    """
    prefix = "SONOMYO_"
    given = (name for name in os.environ if name.startswith(prefix))
    unknown = sorted(name for name in given if name.removeprefix(prefix).split("__")[0].lower() not in Settings.model_fields)
    if unknown:
        raise InputRejected(f"There is no setting {', '.join(unknown)}; docs/operations.md lists them.", reason="unknown_setting")
    if config is None:
        return Settings()
    named = type("NamedSettings", (_TomlSettings,), {"model_config": SettingsConfigDict(toml_file=config)})
    settings = named()
    assert isinstance(settings, Settings)  # noqa: S101 - for the type checker: `type()` gives a bare type
    return settings
