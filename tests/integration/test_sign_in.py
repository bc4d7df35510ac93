"""Signing in to a local account: what opens a session, what ends it, and what slows guessing down."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.access import Role, UserChange
from service.adapters.jobs import make_deferring_app
from service.adapters.passwords import Passwords
from service.adapters.postgres import make_engine, make_unit_of_work_factory
from service.adapters.user_sessions import LocalSessions
from service.adapters.users import LocalUsers
from service.api.limits import Limits
from service.ports import UnitOfWorkFactory
from tests.integration.account_parts import OTHER_PASSWORD, audit, csrf_of, set_times, submit, user_id_of
from tests.integration.api_parts import PASSWORD, STUDY, House
from tests.running import free_port

PAGE = {"Accept": "text/html"}


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    # Guessing from one address is bounded apart from what is tested here.
    with House(engine, units, tmp_path, limits=Limits(failed_sign_in_burst=200)) as made:
        yield made


def test_person_who_signed_in_is_known_by_name_and_role(house: House) -> None:
    browser = house.person(Role.RADIOLOGIST)
    user_id = user_id_of(browser)
    me = browser.get("/api/v1/me").json()
    end = me.pop("session_end")
    assert 1790 < end.pop("ends_in_seconds") <= 1800
    assert end == {"is_prolonged_by_use": True, "warned_seconds": 300}
    assert me == {
        "name": f"user:{user_id}",
        "role": "radiologist",
        "kind": "session",
        "person": {"user_id": user_id, "full_name": "Dr Anna Kowalska"},
        "csrf_token": csrf_of(browser)["X-CSRF-Token"],
    }
    assert "Dr Anna Kowalska" in browser.get("/").text


@pytest.mark.parametrize("who", ["key", "settings", "link"])
def test_key_and_one_time_link_are_no_person(house: House, who: str) -> None:
    clients = {"key": lambda: house.client(house.key(Role.RADIOLOGIST)), "settings": house.client}
    client = clients[who]() if who in clients else house.session(Role.RADIOLOGIST)
    assert client.get("/api/v1/me").json()["person"] is None
    headers = csrf_of(client) if who == "link" else {}
    answer = client.post(
        "/api/v1/me/password", json={"current_password": PASSWORD, "new_password": OTHER_PASSWORD}, headers=headers
    )
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:sonomyo:problem:person")


def test_session_cookie_is_for_this_site_and_no_script(house: House) -> None:
    house.person(Role.VIEWER)
    for cookie in submit(house.client(None)).headers.get_list("set-cookie"):
        assert cookie.split("=")[0] in {"sonomyo_session", "sonomyo_browser"}
        for attribute in ("HttpOnly", "SameSite=strict", "Path=/"):
            assert attribute in cookie


def test_cookies_behind_tls_are_secure_and_bound_to_the_host(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> None:
    with House(engine, units, tmp_path, secure_cookies=True) as house:
        house.users.add(login="anna", full_name="Dr Anna Kowalska", role=Role.VIEWER, password=PASSWORD, actor="test")
        cookies = submit(house.client(None)).headers.get_list("set-cookie")
    assert [cookie.split("=")[0] for cookie in cookies] == ["__Host-sonomyo", "__Host-sonomyo-browser"]
    assert all("Secure" in cookie for cookie in cookies)


@pytest.fixture
def hidden(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    """Behind a proxy that asks by a host of its own, as which the test's client stands."""
    with House(engine, units, tmp_path, public_url="https://Sonomyo.example:443") as made:
        made.users.add(login="anna", full_name="Dr Anna Kowalska", role=Role.RADIOLOGIST, password=PASSWORD, actor="test")
        yield made


def sent_from(house: House, origin: str) -> int:
    form = {"login": "anna", "password": PASSWORD}
    return house.client(None).post("/sign-in", data=form, headers={"Origin": origin}).status_code


def test_public_address_stands_in_links(hidden: House) -> None:
    link = hidden.client().post("/api/v1/sign-in-links", json={"role": "viewer"}).json()["url"]
    assert link.startswith("https://Sonomyo.example:443/sign-in/")


@pytest.mark.parametrize("origin", ["https://sonomyo.example", "http://testserver"])
def test_sign_in_from_the_public_address_opens_a_session_whatever_host_the_proxy_asks_by(hidden: House, origin: str) -> None:
    assert sent_from(hidden, origin) == 303


#: Of which the public address https://sonomyo.example is none.
NOT_PUBLIC = (
    "https://sonomyo.example.elsewhere.example",
    "https://sonomyo.example:8443",
    "http://sonomyo.example",
    "https://elsewhere.example",
    "https://sonomyo.exampl",
    "null",
)


@pytest.mark.parametrize("origin", NOT_PUBLIC)
def test_sign_in_from_an_origin_like_the_public_address_is_refused(hidden: House, origin: str) -> None:
    assert sent_from(hidden, origin) == 403


def test_change_from_the_public_address_is_taken_and_logged_by_its_route(hidden: House) -> None:
    browser = hidden.signed_in()
    own = {**csrf_of(browser), "Origin": "https://sonomyo.example"}
    assert browser.post("/api/v1/studies/1.2/complete", headers=own).status_code == 404
    assert '"route": "/api/v1/studies/{study_instance_uid}/complete"' in hidden.log.getvalue()
    foreign = {**own, "Origin": NOT_PUBLIC[0]}
    assert browser.post("/api/v1/studies/1.2/complete", headers=foreign).status_code == 403


def test_login_is_taken_whatever_its_capitals(house: House) -> None:
    house.person(Role.VIEWER)
    assert submit(house.client(None), login=" ANNA ").status_code == 303


@pytest.mark.parametrize(
    ("login", "password"),
    [
        ("anna", "something else"),
        ("nobody", PASSWORD),
        ("", ""),
        ("anna", PASSWORD * 1000),
        ("a\0b", "\0"),
        ("disabled", PASSWORD),
    ],
)
def test_what_is_wrong_about_a_sign_in_is_not_said(house: House, login: str, password: str) -> None:
    house.person(Role.VIEWER)
    house.users.change(user_id_of(house.person(Role.VIEWER, "disabled")), UserChange(disabled=True), actor="test")
    answer = submit(house.client(None), login, password)
    assert answer.status_code == 401
    assert "Login or password is wrong, or the account is disabled." in answer.text
    assert "set-cookie" not in answer.headers
    assert PASSWORD not in answer.text


def test_unknown_login_costs_as_much_time_as_a_wrong_password(engine: Engine) -> None:
    # With the parameters of production, beside which the rest is small.
    passwords = Passwords()
    users, sessions = LocalUsers(engine=engine, passwords=passwords), LocalSessions(engine=engine, passwords=passwords)
    users.add(login="anna", full_name="Dr Anna Kowalska", role=Role.VIEWER, password=PASSWORD, actor="test")

    def seconds_of(login: str) -> float:
        began = time.process_time()
        assert sessions.sign_in(login=login, password="a guess", browser_token=None) is None
        return time.process_time() - began

    # The processor's own time, and the quickest of some: whatever else this machine does only adds.
    known, unknown = (min(seconds_of(login) for _ in range(4)) for login in ("anna", "nobody"))
    assert 0.5 < unknown / known < 2


def test_session_begun_by_somebody_else_is_not_taken_over(house: House) -> None:
    house.person(Role.RADIOLOGIST)
    planted = house.client(None)
    planted.get(f"/sign-in/{house.sign_ins.create_link(Role.VIEWER)}")
    token = planted.cookies["sonomyo_session"]
    assert submit(planted).status_code == 303
    assert planted.cookies["sonomyo_session"] != token
    other = house.client(None)
    other.cookies.set("sonomyo_session", token)
    assert other.get("/").status_code == 401


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
def test_sign_in_from_another_site_is_refused(house: House, headers: dict[str, str]) -> None:
    house.person(Role.VIEWER)
    answer = house.client(None).post("/sign-in", data={"login": "anna", "password": PASSWORD}, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:sonomyo:problem:foreign_origin")


@pytest.mark.parametrize(
    ("ids", "location"),
    [
        ({"page": "study", "study": STUDY}, f"/studies/{STUDY}"),
        ({"page": "draft", "study": STUDY}, f"/studies/{STUDY}?version=draft"),
        ({"page": "report", "report": "0f-9"}, "/api/v1/reports/0f-9"),
        ({"page": "operations"}, "/operations"),
        ({"page": "study"}, "/"),
        ({"page": "study", "study": "../elsewhere"}, "/"),
        ({"page": "study", "study": "1.2?a=elsewhere"}, "/"),
        ({"page": "study", "study": "1.2\r\nSet-Cookie: a=elsewhere"}, "/"),
        ({"page": "https://elsewhere.example/"}, "/"),
        ({"page": "javascript:alert(1)"}, "/"),
        ({"next": "//elsewhere.example"}, "/"),
        ({}, "/"),
    ],
)
def test_sign_in_leads_to_the_page_of_an_id_or_to_the_worklist(house: House, ids: dict[str, str], location: str) -> None:
    browser = house.person(Role.VIEWER)
    assert browser.get("/sign-in", params=ids).headers["location"] == location
    assert submit(house.client(None), **ids).headers["location"] == location
    shown = house.client(None).get("/sign-in", params=ids).text
    assert "elsewhere" not in shown
    assert "javascript:" not in shown


def test_sign_in_form_shows_what_was_typed_and_runs_none_of_it(house: House) -> None:
    answer = submit(house.client(None), login='"><script>alert(1)</script>')
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_person_without_a_session_any_more_is_told_so(house: House) -> None:
    browser = house.person(Role.VIEWER)
    set_times(house, "UPDATE user_sessions SET expires_at = now()")
    assert browser.get("/", headers=PAGE).headers["location"] == "/sign-in"
    assert "The session has ended" in browser.get("/sign-in").text
    assert "The session has ended" not in house.client(None).get("/sign-in").text


def test_session_ends_when_it_is_not_used_for_half_an_hour(house: House) -> None:
    browser = house.person(Role.VIEWER)
    set_times(house, "UPDATE user_sessions SET last_used_at = now() - :age", age=timedelta(minutes=29))
    assert browser.get("/").status_code == 200
    # That was use, and counts from then on.
    assert house.rows("SELECT last_used_at > now() - interval '1 min' FROM user_sessions") == [(True,)]
    set_times(house, "UPDATE user_sessions SET last_used_at = now() - :age", age=timedelta(minutes=31))
    assert browser.get("/").status_code == 401


def test_session_ends_when_only_pages_by_themselves_ask_with_it(house: House) -> None:
    browser = house.person(Role.VIEWER)
    set_times(house, "UPDATE user_sessions SET last_used_at = now() - :age", age=timedelta(minutes=29))
    unattended = {"X-Sonomyo-Unattended": "true"}
    assert browser.get("/", headers=PAGE | unattended).status_code == 200
    assert browser.get("/api/v1/me", headers=unattended).status_code == 200
    # The path of the event stream alone says so, for a browser sends no header of ours with it; HEAD ends at once.
    assert browser.head("/api/v1/events").status_code == 200
    assert house.rows("SELECT last_used_at < now() - interval '28 min' FROM user_sessions") == [(True,)]
    set_times(house, "UPDATE user_sessions SET last_used_at = last_used_at - :age", age=timedelta(minutes=2))
    assert browser.get("/api/v1/me", headers=unattended).status_code == 401
    assert browser.get("/api/v1/me").status_code == 401


def test_session_ends_after_its_life_however_much_it_is_used(house: House) -> None:
    browser = house.person(Role.VIEWER)
    (life,) = house.rows("SELECT extract(epoch FROM expires_at - created_at) / 3600 FROM user_sessions")[0]
    assert life == 12
    set_times(house, "UPDATE user_sessions SET expires_at = now()")
    assert browser.get("/").status_code == 401


def test_signing_out_ends_the_session_and_is_on_record(house: House) -> None:
    browser = house.person(Role.VIEWER)
    name, token = "sonomyo_session", browser.cookies["sonomyo_session"]
    user_id = user_id_of(browser)
    assert browser.post("/sign-out", headers=csrf_of(browser)).status_code == 200
    browser.cookies.set(name, token)
    assert browser.get("/").status_code == 401
    recorded = [(entry["actor"], entry["action"]) for entry in audit(house)]
    assert recorded[:2] == [(f"user:{user_id}", "signed_out"), (f"user:{user_id}", "signed_in")]


def test_password_kept_with_older_parameters_is_hashed_anew_when_its_owner_signs_in(house: House) -> None:
    house.person(Role.VIEWER)
    ((before,),) = house.rows("SELECT password_hash FROM users")
    stronger = LocalSessions(engine=house.engine, passwords=Passwords(passes=2, memory_kib=128, lanes=1))
    assert stronger.sign_in(login="anna", password=PASSWORD, browser_token=None) is not None
    ((after,),) = house.rows("SELECT password_hash FROM users")
    assert before.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert after.startswith("$argon2id$v=19$m=128,t=2,p=1$")
    assert submit(house.client(None)).status_code == 303


def test_secrets_are_kept_as_hashes_only_and_in_no_log(house: House) -> None:
    browser = house.person(Role.VIEWER)
    submit(house.client(None), password="a wrong secret")
    tables = ("users", "user_sessions", "sign_in_pauses", "audit")
    kept = " ".join(str(row) for table in tables for row in house.rows(f"TABLE {table}"))
    for secret in (PASSWORD, "a wrong secret", browser.cookies["sonomyo_session"], browser.cookies["sonomyo_browser"]):
        assert secret not in kept
        assert secret not in house.log.getvalue()
    assert "sign_in_failed" in house.log.getvalue()
    assert "Kowalska" not in house.log.getvalue()


def test_sign_in_without_a_database_says_so_on_the_page(tmp_path: Path) -> None:
    away = make_engine(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing", pool_size=1)
    with House(away, make_unit_of_work_factory(engine=away, procrastinate=make_deferring_app()), tmp_path) as house:
        answer = submit(house.client(None))
    away.dispose()
    assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "The database does not answer" in answer.text
