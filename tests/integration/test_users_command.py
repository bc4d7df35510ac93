"""`sonomyo users` as a person types it: accounts are made, changed and listed, and no password is an argument."""

import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from service.adapters.passwords import Passwords
from service.adapters.user_sessions import LocalSessions
from tests.integration.api_parts import PASSWORD
from tests.running import ROOT

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ADD = ("add", "anna", "--full-name", "Dr Anna Kowalska", "--role", "radiologist")


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SONOMYO_")}
    return {**inherited, "SONOMYO_DATA_DIR": str(tmp_path / "data"), "SONOMYO_DATABASE__URL": database_url}


@pytest.fixture
def users(environment: dict[str, str]) -> Run:
    def run(*arguments: str, typed: bytes = b"") -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "service", "users", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, input=typed, capture_output=True, check=False, timeout=60)
        return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def opens(engine: Engine, password: str) -> bool:
    sessions = LocalSessions(engine=engine, passwords=Passwords())
    return sessions.sign_in(login="anna", password=password, browser_token=None) is not None


def recorded(engine: Engine) -> list[tuple[str, str]]:
    with engine.connect() as connection:
        return [(row.actor, row.action) for row in connection.execute(text("SELECT actor, action FROM audit ORDER BY id"))]


def test_account_is_made_changed_listed_and_disabled_on_record(users: Run, engine: Engine) -> None:
    made = users(*ADD, "--password-stdin", typed=f"{PASSWORD}\n".encode())
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.startswith("anna: radiologist, id ")
    assert opens(engine, PASSWORD)
    for step in (("set-role", "Anna", "administrator"), ("disable", "anna"), ("enable", "anna")):
        assert users(*step).returncode == 0
    changed = users("set-password", "anna", "--password-stdin", typed="żółta łódź pod mostem\r\n".encode())
    assert changed.returncode == 0, changed.stderr
    assert opens(engine, "żółta łódź pod mostem")
    assert not opens(engine, PASSWORD)
    listed = users("list").stdout
    assert all(word in listed for word in ("anna", "Dr Anna Kowalska", "administrator"))
    said = [action for actor, action in recorded(engine) if actor == "command line"]
    assert said == ["user_added", "user_role_set", "user_disabled", "user_enabled", "user_password_set"]


def test_disabled_account_does_not_sign_in_and_is_listed(users: Run, engine: Engine) -> None:
    users(*ADD, "--password-stdin", typed=PASSWORD.encode())
    assert users("disable", "anna").returncode == 0
    assert not opens(engine, PASSWORD)
    assert "anna" in users("list").stdout


@pytest.mark.parametrize(
    ("arguments", "typed", "said"),
    [
        (ADD, b"", "--password-stdin"),
        ((*ADD, "--password-stdin"), b"", "at least 12 characters"),
        ((*ADD, "--password-stdin"), b"Anna.Kowalska1\n", "easily guessed"),
        ((*ADD, "--password-stdin"), b"\xff\xfe and more of it\n", "UTF-8"),
        ((*ADD[:-1], "root", "--password-stdin"), PASSWORD.encode(), "There is no role 'root'"),
        (("set-role", "nobody", "viewer"), b"", "There is no such account"),
        (("disable", "nobody"), b"", "There is no such account"),
    ],
)
def test_what_is_wrong_is_one_line_and_changes_nothing(
    users: Run, engine: Engine, arguments: tuple[str, ...], typed: bytes, said: str
) -> None:
    done = users(*arguments, typed=typed)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert said in done.stderr
    assert recorded(engine) == []


def test_login_that_is_taken_is_said(users: Run) -> None:
    for expected in (0, 1):
        done = users(*ADD, "--password-stdin", typed=PASSWORD.encode())
        assert done.returncode == expected
    assert "There is an account with this login" in done.stderr


def test_password_on_a_terminal_is_asked_twice_and_not_shown(environment: dict[str, str], engine: Engine) -> None:
    terminal, inside = pty.openpty()
    command = [sys.executable, "-m", "service", "users", *ADD]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=inside, stdout=inside, stderr=inside, start_new_session=True
    ) as process:
        os.close(inside)
        try:
            # The last blank is written once nothing that is typed is shown any more.
            shown = answered(terminal, b"characters): ") + answered(terminal, b"again: ")
            shown += read_until(terminal, b"anna: radiologist")
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
            os.close(terminal)
    assert PASSWORD.encode() not in shown
    assert opens(engine, PASSWORD)


def answered(terminal: int, prompt: bytes) -> bytes:
    shown = read_until(terminal, prompt)
    os.write(terminal, f"{PASSWORD}\n".encode())
    return shown


def read_until(terminal: int, wanted: bytes) -> bytes:
    shown = b""
    while wanted not in shown:
        assert select.select([terminal], [], [], 60)[0], shown
        shown += os.read(terminal, 1024)
    return shown
