"""Listening sockets and the TLS of the listener (PS3.15 B.12)."""

import socket
import ssl
from ipaddress import ip_address

from service.adapters.tls import files_named, no_password
from service.settings import DicomSettings

_BACKLOG = 128


class ListenerSockets:
    """The plain socket, and the one that speaks TLS when it is set; bound, and open to the processes forked later.

    Raises OSError when a port is taken.
    """

    def __init__(self, settings: DicomSettings) -> None:
        wanted = {False: settings.port, True: settings.tls_port}
        self.speaks_tls = {bind_socket(settings.host, port): tls for tls, port in wanted.items() if port is not None}

        self._ports = {tls: int(each.getsockname()[1]) for each, tls in self.speaks_tls.items()}

    @property
    def ports(self) -> list[int]:
        """Every port."""
        return list(self._ports.values())

    def port(self, *, tls: bool) -> int:
        """The plain port or the TLS port; the one that the system chose when 0 was set."""
        return self._ports[tls]

    def close(self) -> None:
        """Listen no more in this process."""
        for each in self.speaks_tls:
            each.close()


def bind_socket(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.settimeout(0)
    except OSError:
        listening.close()
        raise
    return listening


def server_context(settings: DicomSettings) -> ssl.SSLContext | None:
    """TLS 1.2 or 1.3; with a client CA, a client without a certificate of it is refused. None when no TLS port is set.

    Raises InputRejected naming the setting whose file cannot be used.
    """
    certificate = settings.tls_certificate_file
    if settings.tls_port is None or certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with files_named("SONOMYO_DICOM__TLS_CERTIFICATE_FILE and TLS_KEY_FILE", certificate, settings.tls_key_file or certificate):
        context.load_cert_chain(certificate, settings.tls_key_file, password=no_password)
    if settings.tls_client_ca_file is not None:
        with files_named("SONOMYO_DICOM__TLS_CLIENT_CA_FILE", settings.tls_client_ca_file):
            context.load_verify_locations(settings.tls_client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def listens_beyond_loopback(host: str) -> bool:
    """True unless `host` is certainly this machine alone."""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
