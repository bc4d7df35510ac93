"""Alembic's revisions, applied by `sonomyo migrate` and checked by `doctor` and `/readyz`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from service.adapters.postgres import vendor_errors_translated
from service.adapters.rendered_backfill import describe_rendered
from service.errors import Conflict

#: Two processes that migrate at once take turns on this advisory lock.
_LOCK = 7_305_301_922


def migrate(engine: Engine) -> str:
    """Upgrade to the newest revision and fill in what a revision cannot; gives its name. Raises Unavailable."""
    with vendor_errors_translated(), engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        revision = revision_of(connection) or ""
    describe_rendered(engine)
    return revision


def check_revision(engine: Engine) -> None:
    """Raises Conflict when the database is not at the newest revision."""
    with vendor_errors_translated(), engine.connect() as connection:
        found, wanted = revision_of(connection), newest_revision()
    if found != wanted:
        message = f"The database is at revision {found}, this version needs {wanted}: run `sonomyo migrate`."
        raise Conflict(message, reason="revision")


def revision_of(connection: Connection) -> str | None:
    """The database's revision."""
    return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str | None:
    """The newest revision that this version knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def knows_revision(revision: str) -> bool:
    """False for the revision of a newer version of this service."""
    return any(known.revision == revision for known in ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_folder()))
    return config


def _folder() -> Path:
    """`alembic/` beside the package: in a checkout, and in the container image."""
    return Path(__file__).resolve().parents[2] / "alembic"
