"""Health checks of the containers: `python -m service.health listener|worker|api`; exits 1 with one line when the role hangs."""

import http.client
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence

from service.errors import SonomyoError, Unavailable
from service.settings import Settings, read_settings

_SECONDS = 5.0
_LOOPBACK = "127.0.0.1"
#: A-RELEASE-RQ before any association (PS3.8 9.3.6): a live listener answers A-ABORT at once, and writes no association row.
_OUT_OF_PLACE = struct.pack(">BBLL", 5, 0, 4, 0)
_A_ABORT = 7
_BEATING = "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '30 seconds'"


def main(arguments: Sequence[str]) -> None:
    """Check one role of this machine, with the settings that it runs with."""
    if len(arguments) != 1 or arguments[0] not in CHECKS:
        sys.exit(f"usage: python -m service.health {'|'.join(CHECKS)}")
    try:
        CHECKS[arguments[0]](read_settings(None))
    except (SonomyoError, OSError, http.client.HTTPException) as error:
        sys.exit(f"{arguments[0]}: {error}")


def check_listener(settings: Settings) -> None:
    """The accept loop, a thread and the upper layer answer. Raises Unavailable, OSError."""
    with socket.create_connection((_LOOPBACK, settings.dicom.port), timeout=_SECONDS) as connection:
        connection.sendall(_OUT_OF_PLACE)
        if connection.recv(1) != bytes([_A_ABORT]):
            raise Unavailable("The listener does not answer as PS3.8 says.")


def check_worker(settings: Settings) -> None:
    """A worker's heart beats in the database; a hung process stops beating. Raises Unavailable."""
    from sqlalchemy import text  # noqa: PLC0415 - the other checks, twice a minute, do without

    from service.adapters.postgres import vendor_errors_translated  # noqa: PLC0415 - as above
    from service.bootstrap import Service  # noqa: PLC0415 - as above

    engine = Service(settings).engine
    try:
        with vendor_errors_translated(), engine.connect() as connection:
            if not connection.execute(text(_BEATING)).scalar_one():
                raise Unavailable("No worker has beaten for 30 seconds.")
    finally:
        engine.dispose()


def check_api(settings: Settings) -> None:
    """It answers over HTTP; whether it is ready is another question (/readyz). Raises Unavailable, OSError."""
    connection = http.client.HTTPConnection(_LOOPBACK, settings.http.port, timeout=_SECONDS)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != http.client.OK:
        raise Unavailable(f"/healthz answers {status}.")


CHECKS: Mapping[str, Callable[[Settings], None]] = {"listener": check_listener, "worker": check_worker, "api": check_api}

if __name__ == "__main__":
    main(sys.argv[1:])
