"""Local accounts: what a change of one does to its sessions, the own password, and what an administrator may do."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.access import Role
from service.adapters.audit import PostgresAuditLog
from service.api.limits import Limits
from service.core.passwords import FREE_FAILURES
from service.ports import UnitOfWorkFactory
from tests.integration.account_parts import OTHER_PASSWORD, audit, csrf_of, set_times, submit, user_id_of
from tests.integration.api_parts import PASSWORD, STUDY, House, dicom_file, upload


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    # Guessing from one address is bounded apart from what is tested here.
    with House(engine, units, tmp_path, limits=Limits(failed_sign_in_burst=200)) as made:
        yield made


@pytest.mark.parametrize(
    "change", [{"disabled": True}, {"role": "viewer"}, {"password": OTHER_PASSWORD}], ids=["disabled", "role", "password"]
)
def test_change_of_an_account_ends_its_sessions_at_once(house: House, change: dict[str, object]) -> None:
    browser, other = house.person(Role.RADIOLOGIST), house.person(Role.RADIOLOGIST, "other")
    path = f"/api/v1/users/{user_id_of(browser)}"
    assert house.client().patch(path, json=change).status_code == 200
    assert browser.get("/api/v1/me").status_code == 401
    assert other.get("/api/v1/me").status_code == 200


def test_disabled_account_opens_nothing_until_it_is_enabled(house: House) -> None:
    path = f"/api/v1/users/{user_id_of(house.person(Role.VIEWER))}"
    assert house.client().patch(path, json={"disabled": True}).json()["disabled_at"] is not None
    assert submit(house.client(None)).status_code == 401
    assert house.client().patch(path, json={"disabled": False}).json()["disabled_at"] is None
    assert submit(house.client(None)).status_code == 303


def test_changed_name_is_shown_at_once_and_the_session_goes_on(house: House) -> None:
    browser = house.person(Role.VIEWER)
    house.client().patch(f"/api/v1/users/{user_id_of(browser)}", json={"full_name": "Prof. Anna Kowalska"}).raise_for_status()
    assert browser.get("/api/v1/me").json()["person"]["full_name"] == "Prof. Anna Kowalska"


def test_own_password_is_changed_by_who_knows_it(house: House) -> None:
    browser, elsewhere = house.person(Role.VIEWER), house.signed_in()
    headers, path = csrf_of(browser), "/api/v1/me/password"
    wrong = browser.post(path, json={"current_password": "wrong", "new_password": OTHER_PASSWORD}, headers=headers)
    assert (wrong.status_code, wrong.json()["type"]) == (422, "urn:sonomyo:problem:current_password")
    weak = browser.post(path, json={"current_password": PASSWORD, "new_password": "anna.kowalska"}, headers=headers)
    assert (weak.status_code, weak.json()["type"]) == (422, "urn:sonomyo:problem:password")
    body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    assert browser.post(path, json=body).json()["type"] == "urn:sonomyo:problem:csrf"
    assert browser.post(path, json=body, headers=headers).status_code == 204
    assert {client.get("/api/v1/me").status_code for client in (browser, elsewhere)} == {401}
    assert submit(house.client(None)).status_code == 401
    assert submit(house.client(None), password=OTHER_PASSWORD).status_code == 303


def test_own_password_in_the_form_must_be_repeated(house: House) -> None:
    browser = house.person(Role.VIEWER)
    form = {"current": PASSWORD, "new": OTHER_PASSWORD, "repeated": "another", "csrf_token": csrf_of(browser)["X-CSRF-Token"]}
    answer = browser.post("/account/password", data=form)
    assert (answer.status_code, "The two new passwords differ." in answer.text) == (422, True)
    assert submit(house.client(None)).status_code == 303


def test_guessing_the_current_password_in_an_open_session_is_slowed_down(house: House) -> None:
    browser = house.person(Role.VIEWER)
    headers, body = csrf_of(browser), {"current_password": "a guess", "new_password": OTHER_PASSWORD}
    for _ in range(FREE_FAILURES + 1):
        assert browser.post("/api/v1/me/password", json=body, headers=headers).status_code == 422
    set_times(house, "UPDATE sign_in_pauses SET retry_at = clock_timestamp() + :pause", pause=timedelta(hours=1))
    paused = browser.post("/api/v1/me/password", json={**body, "current_password": PASSWORD}, headers=headers)
    assert (paused.status_code, int(paused.headers["retry-after"]) > 3500) == (429, True)


def test_administrator_makes_lists_and_changes_accounts_on_record(house: House) -> None:
    client = house.client()
    body = {"login": "Rita", "full_name": "Dr Rita Nowak", "role": "radiologist", "password": PASSWORD}
    made = client.post("/api/v1/users", json=body)
    assert (made.status_code, made.json()["login"]) == (201, "rita")
    path = f"/api/v1/users/{made.json()['user_id']}"
    assert client.get(path).json() == made.json()
    assert client.get("/api/v1/users").json() == {"users": [made.json()]}
    client.patch(path, json={"role": "viewer", "password": OTHER_PASSWORD, "disabled": True}).raise_for_status()
    client.patch(path, json={"disabled": False, "full_name": "Rita Nowak"}).raise_for_status()
    actions = ["user_renamed", "user_enabled", "user_role_set", "user_disabled", "user_password_set", "user_added"]
    entries = audit(house)
    assert sorted(str(entry["action"]) for entry in entries) == sorted(actions)
    assert {(entry["actor"], entry["subject"]) for entry in entries} == {("key:settings", f"user:{made.json()['user_id']}")}
    assert "Nowak" not in json.dumps(entries)
    assert PostgresAuditLog(engine=house.engine).first_broken() is None


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"login": "anna"}, 409, "login_taken"),
        ({"login": "ANNA "}, 409, "login_taken"),
        ({"login": "two words"}, 422, "login"),
        ({"login": "a"}, 422, "login"),
        ({"full_name": "Nowak^Rita"}, 422, "full_name"),
        ({"full_name": " "}, 422, "full_name"),
        ({"full_name": "Rita\nNowak"}, 201, None),
        ({"password": "rita.nowak.1"}, 422, "password"),
        ({"password": "short"}, 422, "password"),
        ({"role": "root"}, 422, "invalid"),
    ],
)
def test_account_that_cannot_be_made_says_why(house: House, change: dict[str, str], status: int, reason: str | None) -> None:
    house.person(Role.VIEWER)
    body = {"login": "rita", "full_name": "Rita Nowak", "role": "viewer", "password": PASSWORD, **change}
    answer = house.client().post("/api/v1/users", json=body)
    assert answer.status_code == status
    if reason is not None:
        assert answer.json()["type"] == f"urn:sonomyo:problem:{reason}"
    assert PASSWORD not in answer.text


def test_change_that_is_wrong_in_one_part_changes_nothing(house: House) -> None:
    browser = house.person(Role.VIEWER)
    path = f"/api/v1/users/{user_id_of(browser)}"
    assert house.client().patch(path, json={"role": "administrator", "password": "short"}).status_code == 422
    assert house.client().get(path).json()["role"] == "viewer"
    assert browser.get("/api/v1/me").status_code == 200


def test_account_that_there_is_none_of_is_not_found(house: House) -> None:
    assert house.client().get("/api/v1/users/000000000000").status_code == 404
    assert house.client().patch("/api/v1/users/000000000000", json={"disabled": True}).status_code == 404


def test_administrator_does_not_lock_the_own_account(house: House) -> None:
    browser = house.person(Role.ADMINISTRATOR)
    path, headers = f"/api/v1/users/{user_id_of(browser)}", csrf_of(browser)
    for change in ({"disabled": True}, {"role": "viewer"}, {"password": OTHER_PASSWORD}):
        answer = browser.patch(path, json=change, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:sonomyo:problem:own_account")
    assert browser.patch(path, json={"full_name": "A. Kowalska"}, headers=headers).status_code == 200


def test_what_a_person_does_is_recorded_under_the_account(house: House) -> None:
    browser = house.person(Role.RADIOLOGIST)
    upload(house.client(), dicom_file()).raise_for_status()
    assert browser.post(f"/api/v1/studies/{STUDY}/complete", headers=csrf_of(browser)).status_code == 202
    assert audit(house)[0]["actor"] == f"user:{user_id_of(browser)}"
