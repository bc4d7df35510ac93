"""Alembic's environment: the engine is given by `service.adapters.migrations`, or SONOMYO_DATABASE__URL for the CLI."""

import os

from alembic import context
from sqlalchemy import Connection

from service.adapters import account_tables, worklist_tables  # noqa: F401 - their tables join the others in the metadata
from service.adapters.postgres import make_engine
from service.adapters.tables import Row


def ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave procrastinate's own tables out of autogenerate."""
    return not (kind == "table" and name is not None and name.startswith("procrastinate_"))


def run(connection: Connection) -> None:
    """Apply the revisions on one connection."""
    context.configure(connection=connection, target_metadata=Row.metadata, include_name=ours, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with make_engine(os.environ["SONOMYO_DATABASE__URL"]).connect() as connection:
        run(connection)
