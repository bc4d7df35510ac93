"""The doctor over real parts: each trouble is found and named with what mends it, and one trouble never hides another."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from service.access import Role, UserChange
from service.adapters.passwords import Passwords
from service.adapters.users import LocalUsers
from service.bootstrap import Service
from service.core.circuit import FAILURES_BEFORE_A_PAUSE
from service.doctor import Check, examine
from service.ports import UnitOfWorkFactory
from service.settings import Settings
from tests.integration.commitment_parts import Peer
from tests.integration.fhir_push_parts import capability
from tests.integration.listener_parts import running_listener
from tests.integration.stored_studies import save_delivery, save_report, store_instance
from tests.integration.test_stow import stored
from tests.running import free_port
from tests.web_server import serving


@pytest.fixture
def make(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """A service in a folder of its own, on free ports."""
    made: list[Service] = []

    def service(**changes: Any) -> Service:
        sections: dict[str, Any] = {
            "data_dir": tmp_path / "data",
            "database": {"url": database_url},
            "dicom": {"port": free_port()},
            "http": {"port": free_port()},
            "store": {"reserve_bytes": 0},
        }
        for name, change in changes.items():
            sections[name] = {**sections.get(name, {}), **change} if isinstance(change, dict) else change
        made.append(Service(Settings(_env_file=None, **sections)))
        return made[-1]

    yield service
    for each in made:
        if "engine" in vars(each):
            each.engine.dispose()


def look(service: Service) -> dict[str, Check]:
    return {check.name.split(" port ")[0]: check for check in examine(service)}


def problems(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if not check.ok}


def test_service_that_is_well_has_no_problem(make: Callable[..., Service], triton_server: Any) -> None:
    checks = look(make(triton={"url": triton_server.url}))
    assert problems(checks) == set(), checks
    assert "PostgreSQL 18" in checks["database"].advice
    assert "free" in checks["DICOM"].advice


def test_service_without_an_account_is_told_how_to_make_one(make: Callable[..., Service]) -> None:
    service = make(triton={"url": f"127.0.0.1:{free_port()}"})
    without = look(service)["accounts"]
    assert without.ok
    assert "sonomyo users add" in without.advice
    users = LocalUsers(engine=service.engine, passwords=Passwords(passes=1, memory_kib=64, lanes=1))
    user = users.add(login="anna", full_name="Anna", role=Role.VIEWER, password="correct horse battery", actor="test")
    assert look(service)["accounts"].advice == "1 of 1 may sign in"
    users.change(user.user_id, UserChange(disabled=True), actor="test")
    assert "sonomyo users add" in look(service)["accounts"].advice


def test_database_and_triton_away_each_is_named_and_the_rest_is_still_looked_at(make: Callable[..., Service]) -> None:
    away = f"postgresql://sonomyo@127.0.0.1:{free_port()}/sonomyo"
    checks = look(make(database={"url": away}, triton={"url": f"127.0.0.1:{free_port()}"}))
    served = ("muscle_segmentation", "muscle_state", "vde_encoder", "myofascial_pain", "wrist_hand", "mu_seg", "mu_twitch")
    models = {f"model {name}" for name in served}
    assert problems(checks) == {"database", "accounts", "queue", "deliveries", "audit trail", *models}
    assert checks["instance store"].ok


def test_database_not_migrated_says_the_command(make: Callable[..., Service], postgres_server: Any) -> None:
    assert "sonomyo migrate" in look(make(database={"url": postgres_server.url("postgres")}))["database"].advice


def test_port_of_another_program_is_told(make: Callable[..., Service]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        checks = look(make(dicom={"port": port}, http={"port": port}))
    assert {"DICOM", "HTTP"} <= problems(checks)
    assert "SONOMYO_HTTP__PORT" in checks["HTTP"].advice


def test_running_listener_answers_the_echo(make: Callable[..., Service], tmp_path: Path) -> None:
    with running_listener(tmp_path / "listening") as running:
        checks = look(make(dicom={"port": running.port}))
        strict = look(make(dicom={"port": running.port, "ae_title": "OTHER"}))
    assert checks["DICOM"].ok
    assert "C-ECHO" in checks["DICOM"].advice
    assert "allow-list" in strict["DICOM"].advice


def test_open_to_the_network_without_protection_is_a_problem(make: Callable[..., Service]) -> None:
    checks = look(make(dicom={"host": "0.0.0.0"}, http={"host": "0.0.0.0"}))  # noqa: S104 - nothing listens
    assert {"DICOM access", "HTTP access"} <= problems(checks)
    guarded = {"host": "0.0.0.0", "allowed_peers": [{"ae_title": "US1", "address": "10.0.0.0/8"}]}  # noqa: S104 - nothing listens
    checks = look(make(dicom=guarded, http={"host": "0.0.0.0", "secure_cookies": True}))  # noqa: S104 - nothing listens
    assert not {"DICOM access", "HTTP access"} & problems(checks)


@pytest.mark.parametrize(("proxies", "is_told"), [([], True), (["10.1.2.5"], False)])
def test_proxy_that_nobody_named_is_told(make: Callable[..., Service], proxies: list[str], *, is_told: bool) -> None:
    checks = look(make(http={"secure_cookies": True, "trusted_proxies": proxies}))
    assert ("SONOMYO_HTTP__TRUSTED_PROXIES" in checks["HTTP access"].advice) is is_told


def test_disk_below_the_reserve_and_retention_that_begins_too_late_are_told(make: Callable[..., Service]) -> None:
    assert "0xA700" in look(make(store={"reserve_bytes": 1 << 60}))["instance store"].advice
    late = look(make(store={"reserve_bytes": 1 << 20}, retention={"minimum_free_fraction": 1e-12}))
    assert "RETENTION" in late["instance store"].advice


# pynetdicom forgets the socket of a refused connection instead of closing it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed")
def test_destination_that_does_not_answer_is_told(make: Callable[..., Service], tmp_path: Path) -> None:
    with running_listener(tmp_path / "pacs", ae_title="PACS") as pacs:
        checks = look(
            make(
                destinations=[
                    {"name": "here", "host": "127.0.0.1", "port": pacs.port, "ae_title": "PACS"},
                    {"name": "gone", "host": "127.0.0.1", "port": free_port(), "ae_title": "PACS"},
                ]
            )
        )
    assert checks["destination here"].ok
    assert not checks["destination gone"].ok


def test_dicom_web_destination_is_told_by_what_it_answers(make: Callable[..., Service]) -> None:
    with serving(stored) as web:
        url = web.url
        checks = look(make(destinations=[{"name": "web", "protocol": "stow", "url": url}]))
    gone = look(make(destinations=[{"name": "web", "protocol": "stow", "url": url, "token": "Canary"}]))
    assert checks["destination web"].ok, checks
    assert url in gone["destination web"].advice
    assert not gone["destination web"].ok
    assert "Canary" not in gone["destination web"].advice


def test_fhir_destination_is_told_by_what_it_says_of_itself(make: Callable[..., Service]) -> None:
    with serving(lambda: (200, capability())) as web:
        record = {"name": "record", "protocol": "fhir", "url": web.url, "token": "Canary"}
        checks = look(make(destinations=[record]))
    gone = look(make(destinations=[record]))["destination record"]
    assert checks["destination record"].ok, checks
    assert (gone.ok, "credentials" in gone.advice, "Canary" in gone.advice) == (False, True, False)


def test_webhook_destination_is_told_by_its_address_and_gets_nothing(make: Callable[..., Service]) -> None:
    hook = {"name": "hook", "protocol": "webhook", "secret": f"whsec_{'Canary00' * 4}", "allowed_addresses": ["127.0.0.1"]}
    with serving(stored) as web:
        here = {**hook, "url": f"{web.url}/Canary"}
        checks = look(make(destinations=[here, {**here, "name": "astray", "allowed_addresses": ["192.0.2.0/24"]}]))
    gone = look(make(destinations=[here]))["destination hook"]
    astray = checks["destination astray"]
    assert checks["destination hook"].ok, checks
    assert (web.requests, astray.ok, gone.ok) == ([], False, False)
    assert "allowed_addresses" in astray.advice
    assert "Canary" not in f"{checks}{gone}"


def test_paused_destination_is_told(make: Callable[..., Service], units: UnitOfWorkFactory) -> None:
    for _ in range(FAILURES_BEFORE_A_PAUSE):
        with units() as unit:
            unit.circuits.failed("archive", "It does not answer.", began_at=unit.now())
    deliveries = look(make())["deliveries"]
    assert not deliveries.ok
    assert "archive" in deliveries.advice


def test_dead_letters_failed_deliveries_and_a_forged_audit_trail_are_told(
    make: Callable[..., Service], engine: Engine, units: Any
) -> None:
    service = make()
    store_instance(units, service.store, "1.2.3.4", study="1.2.3")
    save_delivery(engine, save_report(engine, "1.2.3"), state="failed")
    with engine.begin() as connection:
        job = "INSERT INTO procrastinate_jobs (task_name, queue_name, args, status) VALUES ('t', 'flow', '{}', 'failed')"
        connection.execute(text(job))
        forged = "INSERT INTO audit (actor, action, subject, sha256) VALUES ('nobody', 'nothing', 'none', 'ff')"
        connection.execute(text(forged))
    assert {"queue", "deliveries", "audit trail"} <= problems(look(service))


def test_secret_file_empty_or_open_to_change_is_told(make: Callable[..., Service], tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("\n")
    assert "empty" in look(make(api={"key_file": secret}))["secrets"].advice
    secret.write_text("a secret")
    secret.chmod(0o666)
    assert "chmod" in look(make(api={"key_file": secret}))["secrets"].advice


def test_routing_of_an_unknown_analysis_is_told(make: Callable[..., Service]) -> None:
    checks = look(make(dicom={"analysis_ae_titles": {"KNEE": "knee_cartilage"}}))
    assert "knee_cartilage" in checks["routing rules"].advice


def test_destination_that_takes_no_commitment_though_it_is_set_is_told(make: Callable[..., Service]) -> None:
    destination = {"name": "pacs", "host": "127.0.0.1", "ae_title": "PACS", "commitment": {}}
    with Peer().running() as well, Peer().running(takes_commitment=False) as without:
        advice = [look(make(destinations=[{**destination, "port": peer.port}]))["destination pacs"] for peer in (well, without)]
    assert [each.ok for each in advice] == [True, False]
    assert "takes Storage Commitment" in advice[0].advice
    assert "Leave `commitment` out" in advice[1].advice
