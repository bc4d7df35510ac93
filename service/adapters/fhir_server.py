"""FHIR R4 transactions (http.html#transaction): one report, one POST to the server's base; judged by what the answer says."""

from typing import Any

from service.adapters.configured_destination import ConfiguredDestination
from service.adapters.http_exchange import authorization, exchange
from service.core.fhir_transaction import addressed, judge_transaction, lacking
from service.destination_settings import FhirDestinationSettings
from service.errors import Unavailable
from service.records import RenderedObject

_OK, _UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404
_JSON = "application/fhir+json"
#: Of a server that has every resource and search parameter.
_MOST_OF_A_CAPABILITY_STATEMENT = 16 << 20


class FhirDestination(ConfiguredDestination[FhirDestinationSettings]):
    """A destination that takes transactions; implements `ports.Destination`."""

    def send(self, rendered: RenderedObject) -> None:
        """Deliver one report.

        Raises Unavailable (no answer in time, 5xx, 408, 409, 425, 429, or nothing said of the report) or InputRejected (every
        other 4xx, a redirect).
        """
        content = addressed(rendered.content, self._settings.patient_systems)
        headers = {"Content-Type": _JSON, "Prefer": "return=minimal"}
        status, answer = _exchange(self._settings, "POST", "", headers=headers, content=content)
        judge_transaction(status, answer, content)


def probe(settings: FhirDestinationSettings) -> str:
    """What the server says of itself at /metadata. Raises Unavailable with what to mend."""
    status, answer = _exchange(settings, "GET", "/metadata", most_bytes=_MOST_OF_A_CAPABILITY_STATEMENT)
    if status in (_UNAUTHENTICATED, _FORBIDDEN):
        raise Unavailable(f"It answers, and refuses our credentials ({status}).", reason="credentials")
    if status == _NOT_FOUND:
        raise Unavailable("It answers, and has no FHIR there (404).", reason="not_found")
    if status != _OK:
        raise Unavailable(f"It answers {status} to /metadata.", reason="server_error")
    if (what := lacking(answer)) is not None:
        raise Unavailable(f"It answers, and {what}.", reason="capability")
    return "answers, and takes transactions"


def _exchange(settings: FhirDestinationSettings, method: str, path: str, **request: Any) -> tuple[int, bytes]:  # noqa: ANN401 - as httpx2 takes it
    """Status and body of the answer. Raises Unavailable when there is none in time."""
    headers = {"Accept": _JSON, "Accept-Encoding": "identity", **authorization(settings), **request.pop("headers", {})}
    tls = settings.tls if settings.speaks_tls else None
    return exchange(method, f"{settings.url}{path}", tls=tls, seconds=settings.timeout_seconds, headers=headers, **request)
