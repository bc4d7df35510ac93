"""Where results go: one section a destination, told apart by `protocol`."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, SecretStr, Tag, model_validator

from service.core.standard_webhooks import key_of
from service.setting_types import AeTitle, Port, Seconds, Section

#: `sr` the structured report, or `comprehensive_sr` for a PACS that takes no Comprehensive 3D SR; `ko` the key images of a
#: report that has some; `pdf` the report as Encapsulated PDF; `seg` a segmentation of each cine; `sc` each cine as a
#: Secondary Capture with the results burned in, for a PACS that shows nothing else.
DicomKind = Literal["sr", "comprehensive_sr", "ko", "pdf", "seg", "sc"]
_USUAL_KINDS: tuple[DicomKind, ...] = ("sr", "ko")
#: A name, or an address.
_HOST = re.compile(r"[a-z0-9._:-]+")
_OF_A_NUMBER = frozenset("0123456789.")
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[A-Za-z0-9._~:/@%-]+")
_PRINTABLE = re.compile(r"[!-~]+")
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


def _web_address(text: str) -> str:
    """Without credentials, which would show in messages, and without query and fragment."""
    try:
        url = urlsplit(text)
        host = url.hostname or ""
        unwanted = url.query, url.fragment, url.username is not None, url.password is not None
        if set(host) <= _OF_A_NUMBER:
            IPv4Address(host)
        right = url.scheme in ("http", "https") and _HOST.fullmatch(host) and url.port != 0 and not any(unwanted)
    except ValueError:
        right = False
    if not right or not _PRINTABLE.fullmatch(text):
        raise ValueError("give http:// or https://, a host and a path; credentials have settings of their own")
    return text


def _without_last_slash(text: str) -> str:
    """What a path can be added to."""
    return text.rstrip("/")


def _uri(text: str) -> str:
    """An absolute URI (RFC 3986) without what would end it in a search."""
    if not _URI.fullmatch(text):
        raise ValueError("give an absolute URI, such as urn:oid:1.2.3 or https://hospital.example/patients")
    return text


def _webhook_secret(secret: SecretStr) -> SecretStr:
    key_of(secret.get_secret_value())
    return secret


WebAddress = Annotated[str, AfterValidator(_web_address)]


class TlsSettings(Section):
    """TLS towards a destination: 1.2 or 1.3, its certificate always verified."""

    #: Certificates (PEM) that vouch for the destination; without it those that the system trusts.
    ca_file: Path | None = None
    #: Ours, where the destination asks for one.
    certificate_file: Path | None = None
    #: Without it the certificate's file holds the key, too.
    key_file: Path | None = None

    @model_validator(mode="after")
    def _key_has_a_certificate(self) -> "TlsSettings":
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("a key_file needs a certificate_file")
        return self


class CommitmentSettings(Section):
    """Storage Commitment (PS3.4 J): what is stored counts as delivered once the peer says that it holds it."""

    #: Without it what is stored counts as delivered even where the peer takes no request, or never reports.
    required: bool = True
    #: How long to wait on the association of the request; a later report comes to our listener.
    wait_seconds: Annotated[float, Field(ge=0, le=60)] = 3.0
    #: Without a report until then, it is asked again.
    deadline_seconds: Seconds = 3600.0
    #: So often is it asked for one object, and the object sent again where the peer does not hold it.
    maximum_requests: Annotated[int, Field(ge=1, le=100)] = 5
    #: Where another application entity than the one that stores is asked.
    ae_title: AeTitle | None = None
    host: str | None = None
    port: Port | None = None


class DicomDestinationSettings(Section):
    """A C-STORE peer."""

    protocol: Literal["dicom"] = "dicom"
    name: Name
    host: str
    port: Port
    ae_title: AeTitle
    kinds: tuple[DicomKind, ...] = _USUAL_KINDS
    #: Bounds each wait.
    timeout_seconds: Seconds = 30.0
    #: In the clear without it.
    tls: TlsSettings | None = None
    #: Not asked for without it.
    commitment: CommitmentSettings | None = None

    @property
    def address(self) -> str:
        """For people."""
        return f"{self.ae_title}@{self.host}:{self.port}"

    @property
    def speaks_tls(self) -> bool:
        """False for what goes in the clear."""
        return self.tls is not None


class WebServerSettings(Section):
    """A server that takes what we send by HTTP, and how it knows us."""

    name: Name
    #: What paths are added to.
    url: Annotated[WebAddress, AfterValidator(_without_last_slash)]
    #: A bearer token (RFC 6750), or `username` and `password` (RFC 7617); never both.
    token: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    #: Bounds the whole exchange.
    timeout_seconds: Seconds = 30.0
    tls: TlsSettings = TlsSettings()

    @property
    def address(self) -> str:
        """For people."""
        return self.url

    @property
    def speaks_tls(self) -> bool:
        """False for what goes in the clear."""
        return urlsplit(self.url).scheme == "https"

    @model_validator(mode="after")
    def _credentials_fit(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if self.token is not None and self.username is not None:
            raise ValueError("give a token, or username and password")
        if self.token is not None and not _PRINTABLE.fullmatch(self.token.get_secret_value()):
            raise ValueError("a token is printable ASCII without spaces")
        if self.username is not None and ":" in self.username:
            raise ValueError("a username has no colon")
        _check_tls_is_used(self.url, self.tls)
        return self


class SearchSettings(Section):
    """What is stored counts as delivered once a search of the server (QIDO-RS, PS3.18 10.6) finds it."""

    #: How long to look for one object, for some servers index later than they answer.
    wait_seconds: Annotated[float, Field(ge=0, le=60)] = 5.0
    #: So often is it looked for, and sent again where it is not found.
    maximum_requests: Annotated[int, Field(ge=1, le=100)] = 5


class StowDestinationSettings(WebServerSettings):
    """A DICOMweb server that takes STOW-RS (PS3.18 10.5) at `/studies`."""

    protocol: Literal["stow"]
    kinds: tuple[DicomKind, ...] = _USUAL_KINDS
    #: Without it the answer to STOW-RS is enough.
    confirm_by_search: SearchSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _has_no_commitment(cls, given: Any) -> Any:  # noqa: ANN401 - whatever was typed
        if isinstance(given, Mapping) and "commitment" in given:
            raise ValueError(
                "DICOMweb has no Storage Commitment: set confirm_by_search instead of commitment, or send by protocol dicom"
            )
        return given


class FhirDestinationSettings(WebServerSettings):
    """A FHIR R4 server that takes transactions at its base URL (http.html#transaction)."""

    protocol: Literal["fhir"]
    #: `fhir` the report as a transaction Bundle.
    kinds: tuple[Literal["fhir"], ...] = ("fhir",)
    #: IssuerOfPatientID (empty for none) -> the URI under which the server keeps that issuer's patient identifiers. Such a
    #: patient is looked for there, and made where there is none; any other is kept under a name of ours.
    patient_systems: dict[str, Annotated[str, AfterValidator(_uri)]] = Field(default_factory=dict)


class MllpDestinationSettings(Section):
    """A receiver of HL7 v2 messages over MLLP."""

    protocol: Literal["mllp"]
    name: Name
    host: str
    port: Port
    #: `oru` the report as ORU^R01.
    kinds: tuple[Literal["oru"], ...] = ("oru",)
    #: Bounds the whole exchange, after connecting.
    timeout_seconds: Seconds = 30.0
    #: In the clear without it.
    tls: TlsSettings | None = None

    @property
    def address(self) -> str:
        """For people."""
        return f"mllp://{self.host}:{self.port}"

    @property
    def speaks_tls(self) -> bool:
        """False for what goes in the clear."""
        return self.tls is not None


class WebhookDestinationSettings(Section):
    """A receiver of webhooks, signed after the Standard Webhooks specification."""

    protocol: Literal["webhook"]
    name: Name
    #: Where notices are posted, as it is; of its path nothing is told, for in some it is a secret.
    url: WebAddress
    #: `whsec_` and base64 of 24 to 64 random bytes, known to the receiver and to nobody else.
    secret: Annotated[SecretStr, AfterValidator(_webhook_secret)]
    #: Networks in one of which the receiver is: nothing is sent to an address outside them, whatever its name leads to.
    allowed_addresses: Annotated[tuple[IPv4Network | IPv6Network, ...], Field(min_length=1)]
    #: `notice` that there is a report, and where; no patient in it.
    kinds: tuple[Literal["notice"], ...] = ("notice",)
    #: Bounds the whole exchange, after the name is looked up.
    timeout_seconds: Seconds = 30.0
    tls: TlsSettings = TlsSettings()

    @property
    def address(self) -> str:
        """For people."""
        url = urlsplit(self.url)
        return f"{url.scheme}://{url.netloc}"

    @property
    def speaks_tls(self) -> bool:
        """False for what goes in the clear."""
        return urlsplit(self.url).scheme == "https"

    @model_validator(mode="after")
    def _tls_is_used(self) -> "WebhookDestinationSettings":
        _check_tls_is_used(self.url, self.tls)
        return self


def _check_tls_is_used(url: str, tls: TlsSettings) -> None:
    """Raises ValueError for certificates that a URL in the clear has no use for."""
    if urlsplit(url).scheme != "https" and tls != TlsSettings():
        raise ValueError("tls needs an https:// url")


def _protocol(value: object) -> object:
    """`dicom` where nothing is said: the first destinations had no other."""
    return value.get("protocol", "dicom") if isinstance(value, Mapping) else getattr(value, "protocol", None)


DestinationSettings = Annotated[
    Annotated[DicomDestinationSettings, Tag("dicom")]
    | Annotated[StowDestinationSettings, Tag("stow")]
    | Annotated[MllpDestinationSettings, Tag("mllp")]
    | Annotated[WebhookDestinationSettings, Tag("webhook")]
    | Annotated[FhirDestinationSettings, Tag("fhir")],
    Discriminator(_protocol),
]
