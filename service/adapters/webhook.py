"""Webhooks: one notice, one POST, signed by the Standard Webhooks specification, to an address that the settings allow."""

import time
from collections.abc import Callable

import httpx2

from service.adapters.configured_destination import ConfiguredDestination
from service.adapters.connection import allowed_address, connected
from service.adapters.http_exchange import exchange
from service.core.delivery_status import is_http_success, raise_if_passing, refusal
from service.core.standard_webhooks import key_of, message_id, signed_headers
from service.destination_settings import WebhookDestinationSettings
from service.records import RenderedObject

_MEND = {
    401: "The receiver does not take our signature (401): compare its secret with the destination's, and both clocks.",
    403: "The receiver does not take our signature (403): compare its secret with the destination's, and both clocks.",
    404: "The receiver has nothing there (404): check the url of the destination.",
    405: "The receiver takes no POST there (405): check the url of the destination.",
    410: "The receiver wants no more webhooks (410): take the destination out of the settings, or set its new url.",
}
_PORTS = {"http": 80, "https": 443}


class WebhookDestination(ConfiguredDestination[WebhookDestinationSettings]):
    """A destination that takes webhooks; implements `ports.Destination`."""

    def __init__(self, *, settings: WebhookDestinationSettings, now: Callable[[], float] = time.time) -> None:
        super().__init__(settings=settings)
        self._now = now

    def send(self, rendered: RenderedObject) -> None:
        """Deliver one notice: the same id and body at each attempt, another time and signature.

        Raises Unavailable (no answer in time, 5xx, 408, 425, 429, an address that is not allowed) or InputRejected (every other
        status but 2xx).
        """
        settings = self._settings
        url = httpx2.URL(settings.url)
        headers = {"Content-Type": rendered.media_type, "Accept-Encoding": "identity", "Host": url.netloc.decode("ascii")}
        key = key_of(settings.secret.get_secret_value())
        signed = signed_headers(key, message_id(rendered.sop_instance_uid), int(self._now()), rendered.content)
        status, _ = exchange(
            "POST",
            url.copy_with(host=allowed_address(_host(url), settings.allowed_addresses)),
            tls=settings.tls if settings.speaks_tls else None,
            seconds=settings.timeout_seconds,
            server_name=_host(url),
            headers={**headers, **signed},
            content=rendered.content,
        )
        raise_if_passing(status)
        if not is_http_success(status):
            raise refusal(status, _MEND)


def reach(settings: WebhookDestinationSettings) -> str:
    """Connects to the allowed address and hangs up: a request would be taken for a notice. Raises Unavailable."""
    url = httpx2.URL(settings.url)
    address = allowed_address(_host(url), settings.allowed_addresses)
    tls = settings.tls if settings.speaks_tls else None
    with connected(address, url.port or _PORTS[url.scheme], tls=tls, seconds=settings.timeout_seconds, server_name=_host(url)):
        return f"takes a connection at {address}"


def _host(url: httpx2.URL) -> str:
    """As it is written: `URL.host` would spell an internationalised name out."""
    return url.raw_host.decode("ascii")
