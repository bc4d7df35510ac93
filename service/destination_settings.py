"""Where results go: one section a destination, told apart by `protocol`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, SecretStr, Tag, model_validator

from service.setting_types import AeTitle, Port, Seconds, Section

#: `sr` the structured report, or `comprehensive_sr` for a PACS that takes no Comprehensive 3D SR; `ko` the key images of a
#: report that has some; `pdf` the report as Encapsulated PDF; `seg` a segmentation of each cine; `sc` each cine as a
#: Secondary Capture with the results burned in, for a PACS that shows nothing else.
DicomKind = Literal["sr", "comprehensive_sr", "ko", "pdf", "seg", "sc"]
_USUAL_KINDS: tuple[DicomKind, ...] = ("sr", "ko")
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


def _web_address(text: str) -> str:
    """Without credentials, which would show in messages, and without what a path cannot be added to."""
    try:
        url = urlsplit(text)
        right = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        right = False
    if not right or url.username is not None or url.password is not None or url.query or url.fragment or not text.isascii():
        raise ValueError("give http:// or https://, a host and a path; credentials have settings of their own")
    return text.rstrip("/")


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

    @property
    def address(self) -> str:
        """For people."""
        return f"{self.ae_title}@{self.host}:{self.port}"

    @property
    def speaks_tls(self) -> bool:
        """False for what goes in the clear."""
        return self.tls is not None


class StowDestinationSettings(Section):
    """A DICOMweb server that takes STOW-RS (PS3.18 10.5)."""

    protocol: Literal["stow"]
    name: Name
    #: What `/studies` is added to.
    url: Annotated[str, AfterValidator(_web_address)]
    #: A bearer token (RFC 6750), or `username` and `password` (RFC 7617); never both.
    token: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    kinds: tuple[DicomKind, ...] = _USUAL_KINDS
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
        return self.url.startswith("https:")

    @model_validator(mode="after")
    def _credentials_fit(self) -> "StowDestinationSettings":
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if self.token is not None and self.username is not None:
            raise ValueError("give a token, or username and password")
        if self.token is not None and not re.fullmatch(r"[!-~]+", self.token.get_secret_value()):
            raise ValueError("a token is printable ASCII without spaces")
        if self.username is not None and ":" in self.username:
            raise ValueError("a username has no colon")
        if not self.speaks_tls and self.tls != TlsSettings():
            raise ValueError("tls needs an https:// url")
        return self


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


def _protocol(value: object) -> object:
    """`dicom` where nothing is said: the first destinations had no other."""
    return value.get("protocol", "dicom") if isinstance(value, Mapping) else getattr(value, "protocol", None)


DestinationSettings = Annotated[
    Annotated[DicomDestinationSettings, Tag("dicom")]
    | Annotated[StowDestinationSettings, Tag("stow")]
    | Annotated[MllpDestinationSettings, Tag("mllp")],
    Discriminator(_protocol),
]
