"""The worker's process: checks that Triton serves what core expects, then works."""

import logging
import os
from collections.abc import Sequence

from service.adapters.migrations import check_revision
from service.adapters.postgres import libpq_url
from service.adapters.worker import Steps, make_worker_app, run_worker
from service.bootstrap import Service, database_url

_log = logging.getLogger("sonomyo.worker")


def run_worker_role(service: Service, queues: Sequence[str] | None) -> None:
    """Run until SIGTERM. Raises ModelContractError when another model is served than core expects."""
    settings = service.settings.worker
    check_revision(service.engine)
    if queues is None or "analysis" in queues:
        service.server.check(service.models)
    steps = Steps(settings.task_timeout_seconds)
    app = make_worker_app(
        flow=service.flow,
        steps=steps,
        database_url=libpq_url(database_url(service.settings)),
        maximum_attempts=settings.maximum_attempts,
    )
    service.reader.warm()
    ended_well = run_worker(
        flow=service.flow,
        app=app,
        steps=steps,
        queues=queues,
        concurrency=settings.concurrency,
        maximum_attempts=settings.maximum_attempts,
        ready=lambda: _log.info("worker_ready"),
    )
    if not ended_well:
        # A thread that hangs would keep the interpreter from ending; the supervisor starts a fresh worker.
        logging.shutdown()
        os._exit(os.EX_TEMPFAIL)
