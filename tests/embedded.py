"""PostgreSQL and Triton as `sonomyo up` runs them, without the rest of the service."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.embedded.supervisor import ProcessSpec, Supervisor
from service.embedded.triton import EmbeddedTriton
from tests.running import ROOT, free_port


@contextmanager
def supervised(folder: Path, *specs: ProcessSpec) -> Iterator[list[str]]:
    """These processes, ready; gives the lines that they have written so far."""
    lines: list[str] = []
    supervisor = Supervisor(specs, run_folder=folder, say=lines.append)
    supervisor.start()
    try:
        assert supervisor.wait_until_ready(threading.Event()), "\n".join(lines)
        yield lines
    finally:
        supervisor.stop()


def triton_in(folder: Path, model_repository: Path, say: Callable[[str], None] = lambda _: None) -> EmbeddedTriton:
    """An embedded Triton on free ports."""
    return EmbeddedTriton(
        folder=folder,
        environment=ROOT / ".triton",
        model_repository=model_repository,
        grpc_port=free_port(),
        http_port=free_port(),
        metrics_port=free_port(),
        say=say,
    )
