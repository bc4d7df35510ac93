"""The worker's process: checks that Triton serves what core expects, then works."""

import logging
from collections.abc import Sequence

from service.adapters.migrations import check_revision
from service.adapters.postgres import libpq_url
from service.adapters.worker import make_worker_app, run_worker
from service.bootstrap import Service, database_url

_log = logging.getLogger("sonomyo.worker")


def run_worker_role(service: Service, queues: Sequence[str] | None) -> None:
    """Run until SIGTERM. Raises ModelContractError when another model is served than core expects."""
    settings = service.settings.worker
    check_revision(service.engine)
    if queues is None or "analysis" in queues:
        service.server.check(service.models)
    app = make_worker_app(
        flow=service.flow, database_url=libpq_url(database_url(service.settings)), maximum_attempts=settings.maximum_attempts
    )
    service.reader.warm()
    try:
        run_worker(
            flow=service.flow,
            app=app,
            queues=queues,
            concurrency=settings.concurrency,
            maximum_attempts=settings.maximum_attempts,
            ready=lambda: _log.info("worker_ready"),
        )
    finally:
        service.reader.close()
