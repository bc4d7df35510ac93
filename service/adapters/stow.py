"""STOW-RS (PS3.18 10.5): one object, one POST over HTTP/1.1, no proxy and no redirect; judged by what the answer says."""

import secrets
from typing import Any

import structlog

from service.adapters.configured_destination import ConfiguredDestination
from service.adapters.http_exchange import authorization, exchange
from service.core.stow import judge_store_response, read_store_response
from service.destination_settings import StowDestinationSettings
from service.errors import Unavailable
from service.records import RenderedObject

_UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND, _FIRST_SERVER_ERROR = 401, 403, 404, 500
#: A study or instance that no server has: the answer to a search for it holds no patient.
_NOBODY = "2.25.0"
_SEARCHED = frozenset({200, 204})


class StowDestination(ConfiguredDestination[StowDestinationSettings]):
    """A destination that takes STOW-RS; implements `ports.Destination`."""

    def send(self, rendered: RenderedObject) -> None:
        """Deliver one object.

        Raises Unavailable (no answer in time, 5xx, 408, 425, 429, 0xA7xx, or nothing said of the object) or InputRejected
        (0x0122, 0xA9xx, 0xCxxx, and every other 4xx).
        """
        boundary = secrets.token_hex(16)
        headers = {"Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}'}
        body = b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n--%b--\r\n" % (
            boundary.encode(),
            rendered.content,
            boundary.encode(),
        )
        uid = rendered.sop_instance_uid
        status, answer = exchange_with(self._settings, "POST", "studies", headers=headers, content=body)
        warning = judge_store_response(status, read_store_response(answer), uid)
        if warning:
            structlog.get_logger().warning("stored_with_warning", destination=self.name, sop_instance_uid=uid, warning=warning)


def probe(settings: StowDestinationSettings) -> str:
    """What a search for what nobody has tells of the server (one of STOW-RS alone need not search, unless it confirms so).

    Raises Unavailable with what to mend.
    """
    status, _ = exchange_with(settings, "GET", "studies", params={"StudyInstanceUID": _NOBODY})
    if status in (_UNAUTHENTICATED, _FORBIDDEN):
        raise Unavailable(f"It answers, and refuses our credentials ({status}).", reason="credentials")
    if status == _NOT_FOUND:
        raise Unavailable("It answers, and has no DICOMweb there (404).", reason="not_found")
    if status >= _FIRST_SERVER_ERROR:
        raise Unavailable(f"It answers with an error of its own ({status}).", reason="server_error")
    if settings.confirm_by_search is None:
        return f"answers ({status})"
    found, _ = exchange_with(settings, "GET", "instances", params={"SOPInstanceUID": _NOBODY})
    if found not in _SEARCHED:
        said = f"It answers, and lets nobody search for instances ({found}): leave confirm_by_search out, or allow it."
        raise Unavailable(said, reason="search_refused")
    return f"answers ({status}) and searches for instances"


def exchange_with(settings: StowDestinationSettings, method: str, resource: str, **request: Any) -> tuple[int, bytes]:  # noqa: ANN401 - as httpx2 takes it
    """Status and body of the answer. Raises Unavailable when there is none in time."""
    url = f"{settings.url}/{resource}"
    headers = {
        "Accept": "application/dicom+json",
        "Accept-Encoding": "identity",
        **authorization(settings),
        **request.pop("headers", {}),
    }
    tls = settings.tls if settings.speaks_tls else None
    return exchange(method, url, tls=tls, seconds=settings.timeout_seconds, headers=headers, **request)
