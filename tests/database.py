"""A migrated database for one test, cloned from a template in milliseconds; the server is the real embedded one."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from service.adapters.jobs import make_deferring_app
from service.adapters.migrations import migrate
from service.adapters.postgres import make_engine, make_unit_of_work_factory
from service.ports import UnitOfWorkFactory

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def template_database(postgres_server: Any) -> str:
    """The name of a migrated database without rows."""
    name = "template_sonomyo"
    postgres_server.create_database(name)
    engine = make_engine(postgres_server.url(name), pool_size=1)
    migrate(engine)
    engine.dispose()
    return name


@pytest.fixture
def database_url(postgres_server: Any, template_database: str) -> Iterator[str]:
    """The address of a database of this test's own."""
    name = f"test_{next(_numbers)}"
    admin = make_engine(postgres_server.url("postgres"), pool_size=1).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template_database}"))
    yield postgres_server.url(name)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on that database."""
    made = make_engine(database_url, pool_size=10)
    yield made
    made.dispose()


@pytest.fixture
def units(engine: Engine) -> UnitOfWorkFactory:
    """Opens transactions on that database."""
    return make_unit_of_work_factory(engine=engine, procrastinate=make_deferring_app())
