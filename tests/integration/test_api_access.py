"""Deny by default: no route answers without a credential, roles are kept apart, sessions cannot be ridden from another site."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Engine, text

from service.access import Role
from service.adapters.access import ApiKeys
from service.adapters.audit import PostgresAuditLog
from service.api.gate import is_public_path
from service.api.limits import Limits
from service.errors import InputRejected, NotFound
from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import ADMINISTRATOR_KEY, STUDY, House, dicom_file, reported, routes_of, upload
from tests.running import poll


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path) as made:
        yield made


def test_every_route_without_a_credential_is_denied(house: House) -> None:
    client = house.client(None)
    closed = [(method, path) for method, path in routes_of(house.app) if not is_public_path(path)]
    assert len(closed) > 20
    for method, path in closed:
        answer = client.request(method, path)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        expected = "application/fhir+json" if path.startswith("/fhir/") else "application/problem+json"
        assert answer.headers["content-type"] == expected


def test_public_routes_are_these_and_no_more(house: House) -> None:
    public = {path for _, path in routes_of(house.app) if is_public_path(path)}
    links = {"/sign-in/{token}", "/sign-in/{token}/studies/{study_instance_uid}"}
    assert public == {"/healthz", "/readyz", "/sign-in", *links}


@pytest.mark.parametrize("host", ["testserver/healthz?", "testserver/static/#", "testserver/sign-in/x?"])
def test_public_path_in_the_host_header_opens_nothing(house: House, host: str) -> None:
    assert house.client(None).get("/api/v1/studies", headers={"Host": host}).status_code == 401


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/nothing", "/api/v1/studies/..%2f..", "/static"])
def test_other_path_without_a_credential_is_denied(house: House, path: str) -> None:
    assert house.client(None).get(path).status_code == 401


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer wrong",
        "Bearer ",
        "Basic YWRtaW46YWRtaW4=",
        f"Token {ADMINISTRATOR_KEY}",
        # alg=none, and HS256 signed with a public key: nothing here reads a JWT yet, so none opens anything.
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        "Bearer smy_000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        b"Bearer smy_\xe2\x98\x83",
    ],
)
def test_wrong_credential_is_denied(house: House, authorization: str | bytes) -> None:
    value = authorization if isinstance(authorization, bytes) else authorization.encode()
    assert house.client(None).get("/api/v1/studies", headers=[(b"Authorization", value)]).status_code == 401


def test_credential_in_the_query_is_no_credential(house: House) -> None:
    answer = house.client(None).get("/api/v1/studies", params={"access_token": ADMINISTRATOR_KEY, "token": ADMINISTRATOR_KEY})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "location"),
    [
        ("GET", "/", "/sign-in"),
        ("GET", f"/studies/{STUDY}", f"/sign-in?page=study&study={STUDY}"),
        ("GET", f"/studies/{STUDY}?version=draft", f"/sign-in?page=draft&study={STUDY}"),
        ("GET", f"/studies/{STUDY}?version=//elsewhere.example", f"/sign-in?page=study&study={STUDY}"),
        ("GET", "/ohif/viewer?StudyInstanceUIDs=1.2", "/sign-in?page=ohif&study=1.2"),
        ("GET", "/?status=reported&cursor=a", "/sign-in"),
        ("GET", "//elsewhere.example/", "/sign-in"),
        ("POST", f"/studies/{STUDY}/complete", "/sign-in"),
    ],
)
def test_browser_without_a_session_is_led_to_the_sign_in_page(house: House, method: str, path: str, location: str) -> None:
    answer = house.client(None).request(method, path, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, location)


@pytest.mark.parametrize(
    ("role", "method", "path", "status"),
    [
        (Role.VIEWER, "GET", "/api/v1/studies", 200),
        (Role.VIEWER, "GET", "/metrics", 200),
        (Role.VIEWER, "POST", f"/api/v1/studies/{STUDY}/complete", 403),
        (Role.VIEWER, "POST", "/api/v1/studies", 403),
        (Role.VIEWER, "GET", "/api/v1/audit", 403),
        (Role.RADIOLOGIST, "POST", "/api/v1/studies/1.2/complete", 404),
        (Role.RADIOLOGIST, "GET", "/api/v1/associations", 403),
        (Role.RADIOLOGIST, "POST", "/api/v1/jobs/1/requeue", 403),
        (Role.RADIOLOGIST, "POST", "/api/v1/sign-in-links", 403),
        (Role.ADMINISTRATOR, "GET", "/api/v1/audit", 200),
        (Role.ADMINISTRATOR, "POST", "/api/v1/jobs/1/requeue", 404),
    ],
)
def test_role_may_do_what_it_may_and_no_more(house: House, role: Role, method: str, path: str, status: int) -> None:
    assert house.client(house.key(role)).request(method, path).status_code == status


def test_revoked_key_is_denied_at_once(house: House) -> None:
    key = house.key(Role.VIEWER)
    client = house.client(key)
    assert client.get("/api/v1/studies").status_code == 200
    house.keys.revoke(key.split("_")[1])
    assert client.get("/api/v1/studies").status_code == 401


def test_key_is_kept_as_a_hash_only_and_its_use_is_seen(house: House) -> None:
    key = house.key(Role.VIEWER)
    house.client(key).get("/api/v1/studies")
    stored = " ".join(str(row) for row in house.rows("SELECT * FROM api_keys"))
    assert key not in stored
    assert key.split("_", 2)[2] not in stored
    (details,) = house.keys.list()
    assert details.last_used_at is not None


def test_key_with_an_unknown_role_or_id_is_refused(engine: Engine) -> None:
    keys = ApiKeys(engine=engine)
    with pytest.raises(InputRejected, match="role"):
        keys.create(name="x", role="root")
    with pytest.raises(NotFound):
        keys.revoke("nothing")


def test_sign_in_link_opens_one_session_once(house: House) -> None:
    made = house.client().post("/api/v1/sign-in-links", json={"role": "viewer", "page": f"/studies/{STUDY}"})
    assert made.status_code == 201
    path = made.json()["url"].removeprefix("http://testserver")
    browser = house.client(None)
    opened = browser.get(path)
    assert (opened.status_code, opened.headers["location"]) == (303, f"/studies/{STUDY}")
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert browser.get("/").status_code == 200
    assert house.client(None).get(path).status_code == 401


def test_sign_in_works_with_a_database_in_any_time_zone(house: House) -> None:
    with house.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET timezone TO 'Asia/Tokyo'"))
    house.engine.dispose()
    browser = house.client(None)
    assert browser.get(f"/sign-in/{house.sign_ins.create_link(Role.VIEWER)}").status_code == 303
    assert browser.get("/").status_code == 200


def test_sign_in_link_is_not_used_up_by_a_prefetch(house: House) -> None:
    token = house.sign_ins.create_link(Role.VIEWER)
    browser = house.client(None)
    assert browser.get(f"/sign-in/{token}", headers={"Sec-Purpose": "prefetch"}).status_code == 403
    assert browser.get(f"/sign-in/{token}").status_code == 303


def test_sign_in_link_that_is_too_old_does_not_open(house: House) -> None:
    token = house.sign_ins.create_link(Role.VIEWER)
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE sign_ins SET expires_at = now() - interval '1 second'"))
    assert house.client(None).get(f"/sign-in/{token}").status_code == 401


@pytest.mark.parametrize("page", ["https://elsewhere.example/", "//elsewhere.example", "/studies/../admin", "/studies/1.2\nx"])
def test_sign_in_link_leads_nowhere_else(house: House, page: str) -> None:
    assert house.client().post("/api/v1/sign-in-links", json={"page": page}).status_code == 422


def test_sign_in_link_cannot_make_an_administrator(house: House) -> None:
    assert house.client().post("/api/v1/sign-in-links", json={"role": "administrator"}).status_code == 422


def test_session_ends_with_sign_out_and_with_time(house: House) -> None:
    browser = house.session(Role.VIEWER)
    name, token = next(iter(browser.cookies.items()))
    assert browser.post("/sign-out", data={"csrf_token": _csrf(browser)}).status_code == 200
    browser.cookies.set(name, token)
    assert browser.get("/").status_code == 401
    late = house.session(Role.VIEWER)
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE sign_ins SET expires_at = now()"))
    assert late.get("/").status_code == 401


def test_session_without_its_csrf_token_changes_nothing(house: House) -> None:
    upload(house.client(), dicom_file())
    browser = house.session(Role.RADIOLOGIST)
    path = f"/api/v1/studies/{STUDY}/complete"
    refused = browser.post(path)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:sonomyo:problem:csrf")
    assert browser.post(path, headers={"X-CSRF-Token": "wrong"}).status_code == 403
    assert browser.post(path, headers={"X-CSRF-Token": _csrf(browser)}).status_code == 202
    assert browser.post(f"/studies/{STUDY}/complete", data={"csrf_token": _csrf(browser)}).status_code == 303


def test_every_change_by_session_needs_the_csrf_token(house: House) -> None:
    browser = house.session(Role.RADIOLOGIST)
    # The sign-in form acts by its password and not by the session; where it comes from is judged all the same.
    changes = [route for route in routes_of(house.app) if route[0] not in ("GET", "HEAD") and route[1] != "/sign-in"]
    assert len(changes) >= 7
    for method, path in changes:
        filled = path.replace("{study_instance_uid}", "1.2").replace("{job_id}", "1")
        assert browser.request(method, filled).status_code == 403, path


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
def test_session_from_another_site_changes_nothing(house: House, headers: dict[str, str]) -> None:
    browser = house.session(Role.RADIOLOGIST)
    answer = browser.post(f"/api/v1/studies/{STUDY}/complete", headers={"X-CSRF-Token": _csrf(browser), **headers})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:sonomyo:problem:foreign_origin")


def test_foreign_origin_gets_no_cors_header(house: House) -> None:
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
        answer = house.client().request(method, "/api/v1/studies", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_cookie_behind_tls_is_secure_and_bound_to_the_host(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> None:
    with House(engine, units, tmp_path, secure_cookies=True) as house:
        answer = house.client(None).get(f"/sign-in/{house.sign_ins.create_link(Role.VIEWER)}")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-sonomyo=")
    assert "Secure" in cookie
    assert "max-age=31536000" in answer.headers["strict-transport-security"]


def test_every_answer_carries_the_security_headers(house: House) -> None:
    client = house.client()
    for path in ("/", "/healthz", "/nothing", "/api/v1/studies", "/static/sonomyo.css"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "script-src 'self';" in headers["content-security-policy"]
        assert "style-src 'self';" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == ("public, no-cache" if path.startswith("/static/") else "no-store")
        assert "server" not in headers


def test_file_of_the_pages_is_kept_for_good_under_the_address_that_a_page_gives_it(house: House) -> None:
    client = house.client(None)
    (address,) = re.findall(r'href="(/static/[^"]*/sonomyo\.css)"', client.get("/sign-in").text)
    given = client.get(address)
    assert given.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert given.content == client.get("/static/sonomyo.css").content


def test_file_of_the_pages_under_another_version_is_what_there_is_now_and_not_kept(house: House) -> None:
    client = house.client(None)
    given = client.get("/static/v-000000000000/sonomyo.css")
    assert (given.status_code, given.headers["cache-control"]) == (200, "public, no-cache")
    assert client.get("/static/v-000000000000/nothing.css").status_code == 404


def test_file_of_the_pages_that_has_not_changed_is_not_sent_again(house: House) -> None:
    client = house.client(None)
    etag = client.get("/static/sonomyo.css").headers["etag"]
    again = client.get("/static/sonomyo.css", headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["cache-control"]) == (304, b"", "public, no-cache")


def test_too_many_requests_are_told_when_to_come_back(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> None:
    with House(engine, units, tmp_path, limits=Limits(requests_per_second=0.5, request_burst=3)) as house:
        client = house.client()
        answers = [client.get("/api/v1/models") for _ in range(4)]
        other = house.client(house.key(Role.VIEWER)).get("/api/v1/models")
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].headers["retry-after"] == "2"
    assert answers[-1].headers["content-type"] == "application/problem+json"
    assert other.status_code == 200


def test_guessing_keys_is_slowed_down(house: House) -> None:
    client = house.client("wrong")
    answers = {client.get("/api/v1/studies").status_code for _ in range(25)}
    assert answers == {401, 429}
    assert house.client().get("/api/v1/studies").status_code == 200


def test_what_was_done_is_on_record_and_the_chain_holds(house: House) -> None:
    client = reported(house)
    client.get(f"/api/v1/studies/{STUDY}/report")
    entries = client.get("/api/v1/audit").json()["entries"]
    actions = [entry["action"] for entry in entries]
    assert actions == ["report_read", "completion_requested", "instances_received"]
    assert {entry["actor"] for entry in entries} == {"key:settings"}
    assert "Canary" not in json.dumps(entries)
    assert PostgresAuditLog(engine=house.engine).first_broken() is None


def test_audit_entries_of_many_at_once_are_all_there_and_form_one_chain(house: House) -> None:
    logs = [PostgresAuditLog(engine=house.engine) for _ in range(2)]  # as of two processes
    with ThreadPoolExecutor(12) as readers:
        list(readers.map(lambda n: logs[n % 2].append(actor="me", action="tested", subject=str(n)), range(60)))
    with house.engine.connect() as connection:
        subjects = connection.execute(text("SELECT subject FROM audit WHERE action = 'tested'")).scalars().all()
    assert sorted(subjects, key=int) == [str(number) for number in range(60)]
    assert logs[0].first_broken() is None


def test_audit_entry_that_cannot_be_written_takes_no_other_with_it(house: House) -> None:
    log = PostgresAuditLog(engine=house.engine)
    wanted = ["first", "second\0", "third", "fourth"]
    with ThreadPoolExecutor(4) as readers, house.engine.connect() as other:
        other.execute(text("LOCK TABLE audit IN SHARE MODE"))  # so that they come together
        asked = [readers.submit(log.append, actor="me", action="tested", subject=subject) for subject in wanted]
        _wait_for_a_lock(house.engine)
        other.rollback()
    assert [subject for subject, one in zip(wanted, asked, strict=True) if one.exception() is not None] == ["second\0"]
    with house.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM audit WHERE action = 'tested'")).scalar_one() == 3
    assert log.first_broken() is None


def _wait_for_a_lock(engine: Engine) -> None:
    waiting = text("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")

    def is_waiting() -> bool:
        with engine.connect() as connection:
            return connection.execute(waiting).first() is not None

    poll(is_waiting, timeout_seconds=30, what="an entry that waits")


def test_changed_audit_entry_breaks_the_chain(house: House) -> None:
    log = PostgresAuditLog(engine=house.engine)
    for number in range(3):
        log.append(actor="me", action="tested", subject=str(number), detail={"number": number})
    with house.engine.begin() as connection:
        connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
        second = connection.execute(text("SELECT id FROM audit ORDER BY id OFFSET 1 LIMIT 1")).scalar_one()
        connection.execute(text("UPDATE audit SET actor = 'somebody else' WHERE id = :id"), {"id": second})
    assert log.first_broken() == second


def test_log_of_all_this_names_nobody(house: House) -> None:
    client = reported(house)
    client.get("/api/v1/studies", params={"patient_id": "Canary-P1", "accession_number": "Canary-A1"})
    client.get(f"/api/v1/studies/{STUDY}/report")
    client.get(f"/studies/{STUDY}", headers={"Accept": "text/html"})
    client.get("/api/v1/studies/Canary")
    written = house.log.getvalue()
    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["route"] for line in lines if line["event"] == "http_request"][-3:] == [
        "/api/v1/studies/{study_instance_uid}/report",
        "/studies/{study_instance_uid}",
        "/api/v1/studies/{study_instance_uid}",
    ]
    assert "Canary" not in written
    assert STUDY not in written
    assert ADMINISTRATOR_KEY not in written


def _csrf(browser: httpx2.Client) -> str:
    page = browser.get("/").text
    return page.split('name="csrf_token" value="')[1].split('"')[0]
