"""What a person does to a report or a study, and its entry in the audit trail: both are there, or neither is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Engine, text

from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import STUDY, House, reported
from tests.integration.test_report_life import amend, cancel, official, sign

Act = Callable[[House], httpx2.Response]
ACTS: dict[str, Act] = {
    "report_amended": lambda house: amend(house.reviewer(), official(house.client()), comment="Seen."),
    "report_signed": lambda house: sign(house.reviewer(), official(house.client())),
    "report_cancelled": lambda house: cancel(house.reviewer(), official(house.client())),
    "completion_requested": lambda house: house.reviewer().post(f"/api/v1/studies/{STUDY}/complete"),
    "reanalysis_requested": lambda house: house.reviewer().post(f"/api/v1/studies/{STUDY}/reanalyse"),
    "identity_acknowledged": lambda house: house.reviewer().post(f"/api/v1/studies/{STUDY}/acknowledge-identity"),
}
#: Of everything that one of these acts changes.
STATE = """
    SELECT (SELECT count(*) FROM reports), (SELECT count(*) FROM deliveries),
           (SELECT string_agg(status::text, ',' ORDER BY id) FROM procrastinate_jobs),
           (SELECT string_agg(state, ',' ORDER BY instance_id) FROM analyses),
           (SELECT row(identity_hold, completion_requested_at, last_selected_at)::text FROM studies)
"""
#: When a crash could part an act from its entry; that a report was read is no act.
REFUSALS = {
    "when the entry is written": "TRIGGER broken BEFORE INSERT ON audit",
    "when all is committed": "CONSTRAINT TRIGGER broken AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED",
}
BREAK_OFF = """
    CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'broken off' USING ERRCODE = 'serialization_failure'; END $$
"""


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    """With a first report, and a study whose identity a person has to acknowledge."""
    with House(engine, units, tmp_path) as made:
        reported(made)
        yield made


def entries(house: House, action: str) -> list[str]:
    return [row.actor for row in house.rows(f"SELECT actor FROM audit WHERE action = '{action}'")]  # noqa: S608 - of ACTS


@pytest.mark.parametrize("action", ACTS)
@pytest.mark.parametrize("moment", REFUSALS)
def test_act_that_breaks_off_leaves_neither_itself_nor_an_entry(house: House, action: str, moment: str) -> None:
    before, recorded = house.rows(STATE), entries(house, action)
    with house.engine.begin() as connection:
        connection.execute(text(BREAK_OFF))
        statement = f"CREATE {REFUSALS[moment]} FOR EACH ROW WHEN (NEW.action <> 'report_read') EXECUTE FUNCTION break_off()"
        connection.execute(text(statement))
    assert ACTS[action](house).status_code == 503
    assert (house.rows(STATE), entries(house, action)) == (before, recorded)


@pytest.mark.parametrize("action", ACTS)
def test_act_has_its_entry_under_the_account_of_whoever_did_it(house: House, action: str) -> None:
    assert ACTS[action](house).is_success
    assert entries(house, action)[-1] == "user:u-anna"


def test_act_that_is_asked_for_twice_is_done_and_recorded_once(house: House) -> None:
    draft = official(house.client())
    made = [sign(house.reviewer(), draft).raise_for_status().json()["report_id"] for _ in range(2)]
    assert made[0] == made[1]
    assert entries(house, "report_signed") == ["user:u-anna"]
