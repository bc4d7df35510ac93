"""The database's revisions, back and forth with rows in it."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

from service.adapters.migrations import check_revision, newest_revision
from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import STUDY, House, reported
from tests.running import ROOT


def move(engine: Engine, revision: str, *, up: bool) -> None:
    """Upgrade or downgrade to a revision, in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "alembic"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        (command.upgrade if up else command.downgrade)(config, revision)


def test_revisions_down_and_up_again_keep_reports_and_count_what_was_given_up_as_failed(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path
) -> None:
    states = text("SELECT state, count(*) FROM deliveries GROUP BY state")
    with House(engine, units, tmp_path) as house:
        before = reported(house).get(f"/api/v1/studies/{STUDY}/report").json()
        with engine.begin() as connection:
            connection.execute(text("UPDATE deliveries SET state = 'abandoned'"))
            (given_up,) = connection.execute(states).all()
        move(engine, "0004", up=False)
        with engine.connect() as connection:
            assert connection.execute(states).all() == [("failed", given_up.count)]
        move(engine, str(newest_revision()), up=True)
        check_revision(engine)
        after = house.client().get(f"/api/v1/studies/{STUDY}/report").json()
    assert after | {"delivery": None} == before | {"delivery": None}
