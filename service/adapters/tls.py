"""What listening and calling with TLS have in common (PS3.15 B.12), and the context of a call."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.destination_settings import TlsSettings
from service.errors import InputRejected, Unavailable


def client_context(tls: TlsSettings) -> ssl.SSLContext:
    """TLS 1.2 or 1.3; the peer's certificate and its name are always verified.

    Raises Unavailable naming a file that cannot be used: what waits goes once that is mended. Read for each call, so that a
    renewed certificate needs no restart.
    """
    try:
        return _client_context(tls)
    except InputRejected as error:
        raise Unavailable(str(error), reason=error.reason) from error


def _client_context(tls: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.ca_file is None:
        context.load_default_certs()
    else:
        with files_named("destination's ca_file", tls.ca_file):
            context.load_verify_locations(tls.ca_file)
    if tls.certificate_file is not None:
        with files_named(
            "destination's certificate_file and key_file", tls.certificate_file, tls.key_file or tls.certificate_file
        ):
            context.load_cert_chain(tls.certificate_file, tls.key_file, password=no_password)
    return context


@contextmanager
def files_named(setting: str, *paths: Path) -> Iterator[None]:
    """Raises InputRejected; neither ssl.SSLError nor the OSError of a missing file says which file it was."""
    try:
        yield
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        files = ", ".join(map(str, dict.fromkeys(paths)))
        raise InputRejected(f"setting {setting}: {files} cannot be used: {why}", reason="tls_files") from error


def no_password() -> str:
    """Without it OpenSSL would ask for one at the terminal."""
    raise ValueError("the key is encrypted; give it without a password, readable by this user alone")
