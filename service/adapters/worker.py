"""The worker: runs the flow's steps from the queue, retries by class of error, and recovers the jobs of dead workers."""

import asyncio
import logging
import math
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ParamSpec

from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Job, Status

from service.adapters.jobs import (
    ANALYSE_INSTANCE,
    CAPTURE_CINE,
    COMPARE_PIXELS,
    COMPLETE_STUDY,
    COMPOSE_REPORT,
    DELIVER_REPORT,
    QUEUES,
    REPORT_COMMITMENT,
    SHADOW_ANALYSIS,
)
from service.errors import InputRejected, ModelContractError, NotFound, Paused, SonomyoError, Unavailable
from service.flow import Flow

HEARTBEAT_SECONDS = 3.0
STALLED_SECONDS = 15.0
ATTEMPTS_AFTER_A_SURPRISE = 3
LONGEST_BACK_OFF_SECONDS = 900
#: What is for a peer waits for it, which may be away for a weekend.
DELIVERY_ATTEMPTS = 200
_FOR_PEERS = frozenset({DELIVER_REPORT, REPORT_COMMITMENT})

LONGEST_PAUSE_AFTER_A_DEATH_SECONDS = 60

#: The last attempt ended, and the database was away when that was to be written down.
_NO_ATTEMPT_LEFT = "no_attempt_left: every attempt failed"
_ANALYSES_WITHOUT_A_JOB = f"""
    SELECT a.instance_id, a.analysis_name FROM analyses a
    WHERE a.state = 'queued' AND NOT EXISTS (
        SELECT 1 FROM procrastinate_jobs j
        WHERE j.status IN ('todo', 'doing') AND j.task_name = '{ANALYSE_INSTANCE}'
            AND (j.args->>'instance_id')::bigint = a.instance_id AND j.args->>'analysis_name' = a.analysis_name)
"""  # noqa: S608 - made of constants
_GIVE_ATTEMPT_BACK = "UPDATE procrastinate_jobs SET attempts = attempts - 1 WHERE id = %(id)s"

_log = logging.getLogger("sonomyo.worker")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class RetryByClass(BaseRetryStrategy):
    """What is away is retried with back-off, a surprise a few times, what is wrong for good never."""

    maximum_attempts: int

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """None ends the job as a dead letter."""
        if isinstance(exception, Paused):
            return RetryDecision(retry_in={"seconds": math.ceil(exception.seconds)})
        if job.attempts + 1 >= self.attempts_for(exception):
            return None
        return RetryDecision(retry_in={"seconds": min(2**job.attempts, LONGEST_BACK_OFF_SECONDS)})

    def is_last(self, exception: BaseException, context: JobContext) -> bool:
        """True when the job that runs now will not be tried again."""
        return context.job is not None and self.get_retry_decision(exception=exception, job=context.job) is None

    def attempts_for(self, exception: BaseException) -> int:
        """How often a step that ends with `exception` is tried in all."""
        if isinstance(exception, InputRejected | NotFound | ModelContractError):
            return 1
        if isinstance(exception, Unavailable):
            return self.maximum_attempts
        return min(ATTEMPTS_AFTER_A_SURPRISE, self.maximum_attempts)


def explain_failure(exception: BaseException) -> str:
    """A reason for the report and the outbox; a surprise is named by its class only, for its text may hold a name."""
    if isinstance(exception, SonomyoError):
        return f"{exception.reason}: {exception}"
    return f"internal_error: {type(exception).__name__}"


@dataclass(frozen=True, slots=True)
class Steps:
    """Runs the flow's steps in threads, each under a deadline.

    A thread can't be ended, so a step that overruns leaves its thread behind: its job is tried again, and `overrun` tells
    the worker to make way for a fresh process.
    """

    deadline_seconds: float
    overrun: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, step: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Raises Unavailable after the deadline, and what the step raises."""
        try:
            async with asyncio.timeout(self.deadline_seconds) as deadline:
                await asyncio.to_thread(step, *args, **kwargs)
        except TimeoutError:
            if not deadline.expired():
                raise
            self.overrun.set()
            said = f"the step did not end within {self.deadline_seconds:g} s (SONOMYO_WORKER__TASK_TIMEOUT_SECONDS)"
            raise Unavailable(said, reason="deadline_passed") from None


def make_worker_app(*, flow: Flow, steps: Steps, database_url: str, maximum_attempts: int) -> App:
    """An App with one task for each step of the flow."""
    app = App(connector=PsycopgConnector(conninfo=database_url, min_size=1, max_size=8))
    retry = RetryByClass(maximum_attempts)
    _add_analysis(app, flow, steps, retry)
    _add_capture(app, flow, steps, retry)
    _add_delivery(app, flow, steps, RetryByClass(DELIVERY_ATTEMPTS))

    _add_step(app, COMPARE_PIXELS, flow.compare_pixels, steps, retry)
    _add_step(app, SHADOW_ANALYSIS, flow.shadow_analysis, steps, retry)
    _add_step(app, COMPLETE_STUDY, flow.complete_study, steps, retry)
    _add_step(app, COMPOSE_REPORT, flow.compose_report, steps, retry)
    _add_step(app, REPORT_COMMITMENT, flow.report_commitment, steps, RetryByClass(DELIVERY_ATTEMPTS))
    return app


def _add_step(app: App, name: str, step: Callable[..., object], steps: Steps, retry: RetryByClass) -> None:
    @app.task(name=name, queue=QUEUES[name], retry=retry, pass_context=True)
    async def run(context: JobContext, /, **arguments: str | int) -> None:
        try:
            await steps.run(step, **arguments)
        except Exception as error:
            if not await _next_one_waits(app, context.job):
                raise
            _log.warning("step_left_to_the_next", extra={"task": name, "failure": explain_failure(error)})


def _add_analysis(app: App, flow: Flow, steps: Steps, retry: RetryByClass) -> None:
    @app.task(name=ANALYSE_INSTANCE, queue=QUEUES[ANALYSE_INSTANCE], retry=retry, pass_context=True)
    async def analyse_instance(context: JobContext, *, instance_id: int, analysis_name: str) -> None:
        try:
            await steps.run(flow.analyse_instance, instance_id, analysis_name)
        except Exception as error:
            if retry.is_last(error, context):
                await steps.run(flow.give_up_analysis, instance_id, analysis_name, explain_failure(error))
            raise


def _add_capture(app: App, flow: Flow, steps: Steps, retry: RetryByClass) -> None:
    @app.task(name=CAPTURE_CINE, queue=QUEUES[CAPTURE_CINE], retry=retry, pass_context=True)
    async def capture_cine(context: JobContext, *, report_id: str, instance_id: int, analysis_name: str, kind: str) -> None:
        try:
            await steps.run(flow.capture_cine, report_id, instance_id, analysis_name, kind)
        except Exception as error:
            if retry.is_last(error, context):
                await steps.run(flow.give_up_capture, report_id, kind, explain_failure(error))
            raise


def _add_delivery(app: App, flow: Flow, steps: Steps, retry: RetryByClass) -> None:
    @app.task(name=DELIVER_REPORT, queue=QUEUES[DELIVER_REPORT], retry=retry, pass_context=True)
    async def deliver_report(context: JobContext, *, report_id: str, destination: str, kind: str) -> None:
        try:
            await steps.run(flow.deliver_report, report_id, destination, kind)
        except Paused:
            if not await _next_one_waits(app, context.job):
                await _give_attempt_back(app, context.job)
                raise
        except Exception as error:
            final = retry.is_last(error, context)
            await steps.run(flow.give_up_delivery, report_id, destination, kind, explain_failure(error), final=final)
            if final or not await _next_one_waits(app, context.job):
                raise


async def _give_attempt_back(app: App, job: Job | None) -> None:
    """Procrastinate counts each retry; a delivery that was not tried has used up nothing."""
    if job is not None:
        await app.connector.execute_query_async(_GIVE_ATTEMPT_BACK, id=job.id)


async def _next_one_waits(app: App, job: Job | None) -> bool:
    """Does another job with the same queueing lock wait? It does the work, and this one could not go back beside it."""
    if job is None or job.queueing_lock is None:
        return False
    return bool(list(await app.job_manager.list_jobs_async(queueing_lock=job.queueing_lock, status="todo")))


def run_worker(
    *,
    flow: Flow,
    app: App,
    steps: Steps,
    queues: Sequence[str] | None,
    concurrency: int,
    maximum_attempts: int,
    ready: Callable[[], None],
) -> bool:
    """Work until SIGINT or SIGTERM; running jobs get half a minute to end, the rest go back to the queue.

    False when a step overran its deadline: its thread still runs, and the process has to end without waiting for it.
    """
    loop = asyncio.new_event_loop()
    threads = ThreadPoolExecutor(max_workers=concurrency + 7, thread_name_prefix="task")
    loop.set_default_executor(threads)
    try:
        loop.run_until_complete(_run(flow, app, steps, queues, concurrency, maximum_attempts, ready))
    finally:
        threads.shutdown(wait=not steps.overrun.is_set())
        loop.close()
    return not steps.overrun.is_set()


async def _run(
    flow: Flow,
    app: App,
    steps: Steps,
    queues: Sequence[str] | None,
    concurrency: int,
    maximum_attempts: int,
    ready: Callable[[], None],
) -> None:
    wanted = set(queues or QUEUES.values())
    loop = asyncio.get_running_loop()
    groups = [
        (sorted(wanted & {"analysis"}), concurrency),
        (sorted(wanted & {"shadow"}), 1),
        (sorted(wanted & {"capture"}), 1),
        (sorted(wanted - {"analysis", "shadow", "capture"}), 4),
    ]
    async with app.open_async():
        tasks = [asyncio.create_task(_work(app, names, count)) for names, count in groups if names]
        tasks.append(asyncio.create_task(_recover_stalled(flow, app, maximum_attempts)))
        tasks.append(asyncio.create_task(_make_way(steps, tasks.copy())))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, lambda: [task.cancel() for task in tasks])
        ready()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    surprises = [error for error in ended if isinstance(error, Exception)]
    if surprises:
        raise surprises[0]


async def _make_way(steps: Steps, tasks: Sequence[asyncio.Task[None]]) -> None:
    """After an overrun no new job is begun and the running ones are let end."""
    await steps.overrun.wait()
    _log.critical("step_overran", extra={"deadline_seconds": steps.deadline_seconds})
    for task in tasks:
        task.cancel()


async def _work(app: App, queues: list[str], concurrency: int) -> None:
    await app.run_worker_async(
        queues=queues,
        concurrency=concurrency,
        fetch_job_polling_interval=1.0,
        abort_job_polling_interval=30.0,
        shutdown_graceful_timeout=30.0,
        install_signal_handlers=False,
        update_heartbeat_interval=HEARTBEAT_SECONDS,
        stalled_worker_timeout=STALLED_SECONDS,
        delete_jobs="never",
    )


async def _recover_stalled(flow: Flow, app: App, maximum_attempts: int) -> None:
    """Give the jobs of workers that stopped beating back to the queue; one that kills its workers becomes a dead letter."""
    while True:
        try:
            for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
                await _recover(flow, app, job, maximum_attempts)
            for lost in await app.connector.execute_query_all_async(_ANALYSES_WITHOUT_A_JOB):
                await asyncio.to_thread(flow.give_up_analysis, lost["instance_id"], lost["analysis_name"], _NO_ATTEMPT_LEFT)
            await app.job_manager.delete_old_jobs(nb_hours=7 * 24)
        except Exception:  # noqa: BLE001 - the loop must outlive an outage of the database
            _log.exception("stalled_job_recovery_failed")
        await asyncio.sleep(HEARTBEAT_SECONDS)


async def _recover(flow: Flow, app: App, job: Job, maximum_attempts: int) -> None:
    assert job.id is not None  # noqa: S101 - a stored job has an id
    _log.warning("job_recovered", extra={"job_id": job.id, "task": job.task_name, "attempts": job.attempts})
    if job.attempts + 1 >= (DELIVERY_ATTEMPTS if job.task_name in _FOR_PEERS else maximum_attempts):
        await asyncio.to_thread(_give_up, flow, job)
        await app.job_manager.finish_job_by_id_async(job.id, Status.FAILED, delete_job=False)
        return
    pause = timedelta(seconds=min(2**job.attempts, LONGEST_PAUSE_AFTER_A_DEATH_SECONDS))
    try:
        await app.job_manager.retry_job_by_id_async(job.id, retry_at=datetime.now(UTC) + pause)
    except UniqueViolation:
        # Another look at the same study waits already (its queueing lock): that one does the work.
        await app.job_manager.finish_job_by_id_async(job.id, Status.ABORTED, delete_job=False)


def _give_up(flow: Flow, job: Job) -> None:
    """What waits for this job must not wait for ever."""
    arguments = job.task_kwargs
    reason = "worker_died: no attempt is left, and the worker of the last one died"
    if job.task_name == ANALYSE_INSTANCE:
        flow.give_up_analysis(int(str(arguments["instance_id"])), str(arguments["analysis_name"]), reason)
    elif job.task_name == CAPTURE_CINE:
        flow.give_up_capture(str(arguments["report_id"]), str(arguments["kind"]), reason)
    elif job.task_name == DELIVER_REPORT:
        report_id, destination, kind = (str(arguments[name]) for name in ("report_id", "destination", "kind"))
        flow.give_up_delivery(report_id, destination, kind, reason, final=True)
