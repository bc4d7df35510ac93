"""Ports on which a server could listen now."""

import socket
from contextlib import ExitStack


def free_ports(*hosts: str) -> list[int]:
    """One on each host, free now; all are held until the last is found, so that no two on a host are the same."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.create_server((host, 0), family=family_of(host))) for host in hosts]
        return [int(probe.getsockname()[1]) for probe in probes]


def is_free(host: str, port: int) -> bool:
    """Could a server listen there now?"""
    try:
        with socket.create_server((host, port), family=family_of(host)):
            return True
    except OSError:
        return False


def family_of(host: str) -> socket.AddressFamily:
    """Of an address as a setting has it."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET
