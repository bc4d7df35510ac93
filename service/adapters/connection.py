"""A TCP connection to a destination, in the clear or with TLS, its troubles in our words; and to which address it may go."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from service.adapters.tls import client_context
from service.destination_settings import TlsSettings
from service.errors import Unavailable

#: A host has two or so; of one with hundreds not all are told.
_MOST_NAMED = 4


@contextmanager
def connected(
    host: str, port: int, *, tls: TlsSettings | None, seconds: float, server_name: str | None = None
) -> Iterator[socket.socket]:
    """Connects, and shakes hands with TLS; `server_name` is what the certificate must hold if not `host`. Raises Unavailable."""
    context = None if tls is None else client_context(tls)
    try:
        with socket.create_connection((host, port), timeout=seconds) as plain:
            if context is None:
                yield plain
            else:
                with context.wrap_socket(plain, server_hostname=server_name or host) as secure:
                    yield secure
    except TimeoutError as error:
        raise Unavailable(f"The receiver did not answer within {seconds:g} s.", reason="no_answer") from error
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(f"There is no TLS with the receiver: {error.verify_message}.", reason="tls") from error
    except (OSError, UnicodeError) as error:
        raise Unavailable("The receiver cannot be reached, or ended the exchange.", reason="no_answer") from error


def allowed_address(host: str, allowed: Sequence[IPv4Network | IPv6Network]) -> str:
    """The first address of `host` that lies in an allowed network: to connect to it alone, for the name may lead elsewhere next.

    Raises Unavailable when there is none, which a change of the name's records mends.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable("The host of the destination's url has no address.", reason="no_address") from error
    addresses = [_address(str(sockaddr[0])) for *_, sockaddr in found]
    for address in addresses:
        if any(address in network for network in allowed):
            return str(address)
    named = ", ".join(map(str, list(dict.fromkeys(addresses))[:_MOST_NAMED]))
    raise Unavailable(
        f"The host of the destination's url is at {named}, which is not in its allowed_addresses.", reason="address_not_allowed"
    )


def _address(text: str) -> IPv4Address | IPv6Address:
    """An IPv4 address that is written as IPv6 is judged as what it is; a zone (RFC 4007) is none of the address."""
    address = ip_address(text.partition("%")[0])
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
