"""Asks a destination whether it answers, without sending it anything: C-ECHO, or the least that its protocol has."""

from dataclasses import replace
from urllib.parse import urlsplit

from service.adapters import commitment_scu, fhir_server, mllp, stow, webhook
from service.adapters.commitment_scu import peer_to_ask
from service.adapters.listener_sockets import listens_beyond_loopback
from service.adapters.store_scu import echo, peer_of
from service.destination_settings import (
    DestinationSettings,
    DicomDestinationSettings,
    FhirDestinationSettings,
    MllpDestinationSettings,
    StowDestinationSettings,
    WebhookDestinationSettings,
)
from service.errors import InputRejected, SonomyoError, Unavailable

_SECONDS = 5.0
#: What a destination that does not answer is most often wrong in.
_TO_CHECK = {
    "dicom": "host, port, AE titles and tls, and that it knows our AE title",
    "stow": "url, credentials and tls",
    "mllp": "host, port and tls",
    "webhook": "url, allowed_addresses and tls",
    "fhir": "url, credentials and tls",
}


def reach(destination: DestinationSettings, *, calling_ae_title: str) -> str:
    """What it answered, in words. Raises Unavailable, which says what to check."""
    try:
        return _answer_of(destination, calling_ae_title)
    except SonomyoError as error:
        raise Unavailable(f"{destination.address}: {error} Check its {_TO_CHECK[destination.protocol]}.") from error


def _answer_of(destination: DestinationSettings, calling_ae_title: str) -> str:
    """Raises SonomyoError."""
    if isinstance(destination, MllpDestinationSettings):
        return mllp.reach(destination.model_copy(update={"timeout_seconds": _SECONDS}))
    if isinstance(destination, WebhookDestinationSettings):
        return webhook.reach(destination.model_copy(update={"timeout_seconds": _SECONDS}))
    if isinstance(destination, StowDestinationSettings | FhirDestinationSettings):
        return _answer_of_web_server(destination.model_copy(update={"timeout_seconds": _SECONDS}))
    return _answer_of_pacs(destination, calling_ae_title)


def _answer_of_web_server(destination: StowDestinationSettings | FhirDestinationSettings) -> str:
    probe = stow.probe(destination) if isinstance(destination, StowDestinationSettings) else fhir_server.probe(destination)
    has_secret = destination.token is not None or destination.password is not None
    if has_secret and not destination.speaks_tls and listens_beyond_loopback(urlsplit(destination.url).hostname or ""):
        raise Unavailable("It answers, and our credentials go to it in the clear: use https.", reason="in_the_clear")
    return probe


def _answer_of_pacs(destination: DicomDestinationSettings, calling_ae_title: str) -> str:
    echo(replace(peer_of(destination, calling_ae_title=calling_ae_title), timeout_seconds=_SECONDS))
    if destination.commitment is None:
        return "answers C-ECHO"
    asked = peer_to_ask(destination, destination.commitment, calling_ae_title=calling_ae_title)
    try:
        commitment_scu.probe(replace(asked, timeout_seconds=_SECONDS))
    except InputRejected as error:
        raise Unavailable(f"It answers C-ECHO; {error} Leave `commitment` out, or name who takes it there.") from error
    return "answers C-ECHO and takes Storage Commitment"
