"""PostgreSQL: the engine, and one transaction as a unit of work."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

import psycopg
from procrastinate import App
from procrastinate.exceptions import ConnectorException
from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from service.adapters.analysis_rows import PostgresAnalysisRows
from service.adapters.circuit_rows import PostgresCircuitRows
from service.adapters.commitment_rows import PostgresCommitmentRows
from service.adapters.instance_rows import PostgresInstanceRows
from service.adapters.jobs import PostgresJobQueue
from service.adapters.outbox_rows import PostgresOutboxRows
from service.adapters.report_rows import PostgresReportRows
from service.adapters.shadow_rows import PostgresShadowRows
from service.adapters.study_rows import PostgresStudyRows
from service.commitment_ports import CommitmentRows
from service.errors import SonomyoError, Unavailable
from service.ports import (
    AnalysisRows,
    CircuitRows,
    InstanceRows,
    JobQueue,
    OutboxRows,
    ReportRows,
    ShadowRows,
    StudyRows,
    UnitOfWork,
)

CONNECT_TIMEOUT_SECONDS = 3
#: A connection that was used so lately is not asked whether it is alive.
_RESTED_SECONDS = 1.0
#: What SQLAlchemy, and psycopg where it is used alone, raise when the server is away or refuses.
_AWAY = (OperationalError, InterfaceError, PoolTimeoutError, psycopg.OperationalError, psycopg.InterfaceError)
CONNECT_ARGUMENTS = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, "application_name": "sonomyo"}


def make_engine(url: str, *, pool_size: int = 20) -> Engine:
    """An engine on psycopg 3; parameters never reach a log (`hide_parameters`)."""
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_SECONDS,
        connect_args=CONNECT_ARGUMENTS,
    )
    _ping_after_a_rest(engine)
    return engine


def _ping_after_a_rest(engine: Engine) -> None:
    """As `pool_pre_ping` does, but not where the connection answered a moment ago: a reader's request has several of them."""

    def returned(_: object, record: ConnectionPoolEntry) -> None:
        record.info["returned"] = time.monotonic()

    def taken(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        if time.monotonic() - record.info.get("returned", -math.inf) < _RESTED_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except _AWAY as error:
            raise InvalidatePoolError from error  # the others that rested are of the same server; the pool connects anew

    event.listen(engine, "checkin", returned)
    event.listen(engine, "checkout", taken)


def libpq_url(url: str) -> str:
    """The same address without SQLAlchemy's driver name, for procrastinate, psycopg and pg_dump."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def vendor_errors_translated() -> Iterator[None]:
    """Turn what SQLAlchemy and psycopg raise when the database is away into Unavailable."""
    try:
        yield
    except SonomyoError:
        raise
    except (*_AWAY, ConnectorException) as error:
        raise Unavailable(
            "The database does not answer or refused the transaction; try again later.", reason="database"
        ) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("The connection to the database was lost; try again.", reason="database") from error
        raise
    except SQLAlchemyError:
        raise


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for statements that stand alone, mostly reads: without a transaction, which takes two more round trips."""
    with vendor_errors_translated(), engine.connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def reading_session(engine: Engine) -> Iterator[Session]:
    """As `reading`, where rows become objects."""
    with reading(engine) as connection, Session(connection) as session:
        yield session


@contextmanager
def planned_anew(connection: Connection) -> Iterator[None]:
    """Each statement is planned for its own values: the server keeps none, and so no plan that is the same for all values."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - for the type checker: `make_engine` names the driver
    usual, driver.prepare_threshold = driver.prepare_threshold, None
    try:
        yield
    finally:
        driver.prepare_threshold = usual


class PostgresUnitOfWork:
    """One transaction; implements ports.UnitOfWork."""

    def __init__(self, *, engine: Engine, procrastinate: App) -> None:
        self._engine = engine
        self._procrastinate = procrastinate

    def __enter__(self) -> Self:
        self._session = Session(self._engine, expire_on_commit=False)
        with vendor_errors_translated():
            self._session.connection()
        self.instances: InstanceRows = PostgresInstanceRows(session=self._session)
        self.analyses: AnalysisRows = PostgresAnalysisRows(session=self._session)
        self.shadows: ShadowRows = PostgresShadowRows(session=self._session)
        self.studies: StudyRows = PostgresStudyRows(session=self._session)
        self.reports: ReportRows = PostgresReportRows(session=self._session)
        self.outbox: OutboxRows = PostgresOutboxRows(session=self._session)
        self.circuits: CircuitRows = PostgresCircuitRows(session=self._session)
        self.commitments: CommitmentRows = PostgresCommitmentRows(session=self._session)
        self.jobs: JobQueue = PostgresJobQueue(session=self._session, procrastinate=self._procrastinate)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            with vendor_errors_translated():
                if error is None:
                    self._session.commit()
                elif isinstance(error, SQLAlchemyError | ConnectorException):
                    self._session.rollback()
                    raise error
        finally:
            self._session.close()

    def now(self) -> datetime:
        """The database's clock at the start of the transaction."""
        return self._session.execute(select(func.now())).scalar_one()


def make_unit_of_work_factory(*, engine: Engine, procrastinate: App) -> Callable[[], AbstractContextManager[UnitOfWork]]:
    """Opens transactions on `engine`; jobs are deferred on the same connection."""

    def open_unit_of_work() -> AbstractContextManager[UnitOfWork]:
        return PostgresUnitOfWork(engine=engine, procrastinate=procrastinate)

    return open_unit_of_work
