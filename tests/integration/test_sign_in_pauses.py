"""Guessing at passwords is slowed down, by login and by address, and nobody is kept out by it for good."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import IPv4Network, ip_network
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Engine

from service.access import Role
from service.api.limits import Limits
from service.core.passwords import FREE_FAILURES
from service.ports import UnitOfWorkFactory
from tests.integration.account_parts import audit, set_times, submit
from tests.integration.api_parts import House


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    # Guessing from one address is bounded apart from what is tested here.
    with House(engine, units, tmp_path, limits=Limits(failed_sign_in_burst=200)) as made:
        yield made


@pytest.mark.parametrize("login", ["anna", "nobody"])
def test_guessing_a_password_is_slowed_down_whether_there_is_the_account_or_not(house: House, login: str) -> None:
    house.person(Role.VIEWER)
    for _ in range(FREE_FAILURES):
        assert submit(house.client(None), login, "a guess").status_code == 401
    assert pause_of(house) == timedelta(0)
    assert submit(house.client(None), login, "a guess").status_code == 401
    assert pause_of(house) == timedelta(seconds=1)
    # While it lasts the right password is not looked at either.
    pause_for(house, timedelta(hours=1))
    paused = submit(house.client(None), login)
    assert (paused.status_code, 3500 < int(paused.headers["retry-after"]) <= 3600) == (429, True)
    assert f"Please try again in {paused.headers['retry-after']} s." in paused.text
    # It ends by itself, and the next one is longer.
    pause_for(house, timedelta(seconds=-1))
    assert submit(house.client(None), login, "a guess").status_code == 401
    assert pause_of(house) == timedelta(seconds=2)


def pause_of(house: House) -> timedelta:
    """To the second."""
    ((pause,),) = house.rows("SELECT date_trunc('second', retry_at - failed_at + interval '0.1 s') FROM sign_in_pauses")
    assert isinstance(pause, timedelta)
    return pause


def pause_for(house: House, pause: timedelta) -> None:
    set_times(house, "UPDATE sign_in_pauses SET retry_at = clock_timestamp() + :pause", pause=pause)


def test_guessing_many_at_once_is_counted_like_one_after_the_other(house: House) -> None:
    house.person(Role.VIEWER)
    with ThreadPoolExecutor(max_workers=6) as pool:
        guesses = pool.map(lambda _: house.user_sessions.sign_in(login="anna", password="a guess", browser_token=None), range(30))
    judged = [guess for guess in guesses if guess is None]
    assert len(judged) <= FREE_FAILURES + 2


def test_person_in_a_known_browser_is_not_kept_out_by_a_stranger_who_guesses(house: House) -> None:
    browser = house.person(Role.VIEWER)
    for _ in range(FREE_FAILURES + 2):
        submit(house.client(None), password="a guess")
    pause_for(house, timedelta(hours=1))
    assert submit(house.client(None)).status_code == 429
    browser.cookies.delete("sonomyo_session")
    assert submit(browser).status_code == 303
    # The stranger's count stays.
    assert submit(house.client(None)).status_code == 429


def test_browser_known_to_one_account_is_a_stranger_to_another(house: House) -> None:
    browser = house.person(Role.VIEWER, "mallory")
    house.person(Role.VIEWER)
    browser.cookies.delete("sonomyo_session")
    for _ in range(FREE_FAILURES + 2):
        submit(house.client(None), password="a guess")
    pause_for(house, timedelta(hours=1))
    assert submit(browser, password="a guess").status_code == 429


def test_success_forgives_the_failures_before_it_and_their_number_is_on_record(house: House) -> None:
    house.person(Role.VIEWER)
    for _ in range(3):
        submit(house.client(None), password="a guess")
    assert submit(house.client(None)).status_code == 303
    assert audit(house)[0]["detail"] == {"failed_attempts_before": 3}
    assert house.rows("SELECT * FROM sign_in_pauses") == []


def test_guessing_from_one_address_is_slowed_down_whatever_the_login(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path
) -> None:
    with House(engine, units, tmp_path, limits=Limits(failed_sign_in_burst=5, failed_sign_ins_per_second=0.01)) as house:
        house.person(Role.VIEWER)
        assert {submit(house.client(None)).status_code for _ in range(10)} == {303}
        statuses = [submit(house.client(None), login=f"login{number}").status_code for number in range(7)]
    assert statuses == [401] * 5 + [429] * 2


def test_wrong_keys_from_an_address_keep_nobody_there_from_signing_in(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path
) -> None:
    with few_failures(engine, units, tmp_path) as house:
        house.person(Role.VIEWER)
        stale = house.client("smy_wrong")
        assert [stale.get("/api/v1/me").status_code for _ in range(7)] == [401] * 5 + [429] * 2
        assert submit(house.client(None)).status_code == 303


def few_failures(engine: Engine, units: UnitOfWorkFactory, root: Path) -> House:
    return House(engine, units, root, limits=Limits(failed_sign_in_burst=5, failed_sign_ins_per_second=0.01))


def guesses_by_proxy(address: str, clients: str) -> list[int]:
    """Each at a login of its own."""
    with httpx2.Client(base_url=address, headers={"X-Forwarded-For": clients}) as guesser:
        return [submit(guesser, login=f"login{number}").status_code for number in range(7)]


def test_flood_by_a_trusted_proxy_keeps_nobody_out_who_has_another_address(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path
) -> None:
    with few_failures(engine, units, tmp_path) as house:
        house.person(Role.VIEWER)
        with house.served(trusted_proxies=[ip_network("127.0.0.0/8")]) as address:
            # What the client itself wrote stands before what the proxy appended, and counts for nothing.
            assert guesses_by_proxy(address, "10.1.1.1, 10.9.9.9") == [401] * 5 + [429] * 2
            for client, status in (("10.9.9.9", 429), ("10.1.1.1", 303)):
                with httpx2.Client(base_url=address, headers={"X-Forwarded-For": client}) as browser:
                    assert submit(browser).status_code == status


def test_guessing_from_many_addresses_of_one_ipv6_network_is_counted_together(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path
) -> None:
    trusted = [ip_network("127.0.0.0/8")]
    with few_failures(engine, units, tmp_path) as house, house.served(trusted_proxies=trusted) as address:
        assert guesses_by_proxy(address, "2001:db8:1:2::1") == [401] * 5 + [429] * 2
        assert set(guesses_by_proxy(address, "2001:db8:1:2:ffff::9")) == {429}
        assert guesses_by_proxy(address, "2001:db8:1:3::1") == [401] * 5 + [429] * 2
        assert guesses_by_proxy(address, "::ffff:10.1.1.1") == [401] * 5 + [429] * 2
        assert guesses_by_proxy(address, "::ffff:10.1.1.2") == [401] * 5 + [429] * 2


@pytest.mark.parametrize("trusted", [(), (ip_network("10.0.0.0/8"),)])
def test_address_that_somebody_else_than_a_trusted_proxy_names_is_not_believed(
    engine: Engine, units: UnitOfWorkFactory, tmp_path: Path, trusted: tuple[IPv4Network, ...]
) -> None:
    with few_failures(engine, units, tmp_path) as house, house.served(trusted_proxies=trusted) as address:
        assert guesses_by_proxy(address, "10.9.9.9") == [401] * 5 + [429] * 2
        assert set(guesses_by_proxy(address, "10.1.1.1")) == {429}
