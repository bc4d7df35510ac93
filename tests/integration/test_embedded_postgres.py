import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from service.embedded.postgres import EmbeddedPostgres, processes_in
from service.embedded.postgres_account import PRIVATE_VIEW, closed_parent
from service.embedded.postgres_files import installed_programs
from service.embedded.processes import ChildProcess, Command
from service.embedded.supervisor import ProcessSpec
from service.errors import Conflict
from tests.embedded import supervised
from tests.running import poll

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's server runs as himself")


def postgres_spec(postgres: EmbeddedPostgres) -> ProcessSpec:
    def command() -> Command:
        postgres.prepare()
        return postgres.command()

    return ProcessSpec(name="postgres", command=command, is_ready=postgres.is_ready)


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[tuple[EmbeddedPostgres, Path, list[str]]]:
    postgres = EmbeddedPostgres(folder=tmp_path / "postgres")
    with supervised(tmp_path / "run", postgres_spec(postgres)) as lines:
        postgres.create_database()
        yield postgres, tmp_path / "postgres" / "data", lines


def postmaster_of(cluster: Path) -> int:
    return int((cluster / "postmaster.pid").read_text().splitlines()[0])


def setting(postgres: EmbeddedPostgres, name: str) -> str:
    with psycopg.connect(postgres.url()) as connection:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


def test_server_is_durable_private_and_silent_about_values(own_postgres: tuple[EmbeddedPostgres, Path, list[str]]) -> None:
    postgres, cluster, lines = own_postgres
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "listen_addresses": "",
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
    }
    assert {name: setting(postgres, name) for name in expected} == expected
    assert (cluster.parent / "socket").stat().st_mode & 0o777 == 0o700
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE people (name text UNIQUE)")
        connection.execute("INSERT INTO people VALUES ('CANARY^NAME')")
        with contextlib.suppress(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO people VALUES ('CANARY^NAME')")
        with contextlib.suppress(psycopg.DataError):
            connection.execute("SELECT 'CANARY^NAME'::int")
    assert not any("CANARY" in line for line in lines)


@needs_root
def test_server_of_root_runs_as_nobody_in_particular(own_postgres: tuple[EmbeddedPostgres, Path, list[str]]) -> None:
    _, cluster, _ = own_postgres
    status = Path(f"/proc/{postmaster_of(cluster)}/status").read_text()
    uids = next(line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
    assert set(uids) == {str(cluster.stat().st_uid)}
    assert "0" not in uids


@needs_root
def test_server_of_root_serves_a_folder_below_a_closed_one_and_opens_none(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    postgres = EmbeddedPostgres(folder=closed / "data" / "postgres")
    with supervised(tmp_path / "run", postgres_spec(postgres)):
        postgres.create_database()
        assert not PRIVATE_VIEW.exists(), "its mount point is seen, and can be removed, from outside"
        assert setting(postgres, "fsync") == "on"
        cluster = closed / "data" / "postgres" / "data"
        assert closed_parent(cluster, cluster.stat().st_uid) is not None
        os.kill(postmaster_of(cluster), signal.SIGKILL)
        poll(postgres.is_ready, timeout_seconds=60, what="its recovery")
    assert closed.stat().st_mode & 0o777 == 0o700


@needs_root
def test_server_of_root_serves_an_open_folder_without_a_mount() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = EmbeddedPostgres(folder=folder / "postgres")
        with supervised(folder / "run", postgres_spec(postgres)):
            postgres.create_database()
            assert setting(postgres, "data_directory") == str(folder / "postgres" / "data")


def test_connection_by_another_user_is_refused(own_postgres: tuple[EmbeddedPostgres, Path, list[str]]) -> None:
    postgres, _, _ = own_postgres
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres.url().replace("sonomyo@", "somebody@"))


def test_postmaster_killed_keeps_what_was_committed_and_serves_again(
    own_postgres: tuple[EmbeddedPostgres, Path, list[str]],
) -> None:
    postgres, cluster, _ = own_postgres
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE numbers (n int)")
    for number in range(3):
        with psycopg.connect(postgres.url()) as connection:
            connection.execute("INSERT INTO numbers VALUES (%s)", [number])
        killed = postmaster_of(cluster)
        os.kill(killed, signal.SIGKILL)
        poll(lambda: postgres.is_ready() and postmaster_of(cluster) != killed, timeout_seconds=60, what="a restart")  # noqa: B023 - called in the same turn
    with psycopg.connect(postgres.url()) as connection:
        assert connection.execute("SELECT n FROM numbers ORDER BY n").fetchall() == [(0,), (1,), (2,)]


def test_pid_file_that_names_a_stranger_does_not_stop_the_start(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(folder=tmp_path / "postgres")
    postgres.prepare()
    pid_file = tmp_path / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{pid_file.parent}\n0\n5432\n\n\n0 0\nready\n")
    with supervised(tmp_path / "run", postgres_spec(postgres)):
        assert postmaster_of(pid_file.parent) != os.getpid()


def test_server_that_an_earlier_run_left_is_ended_before_the_next(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(folder=tmp_path / "postgres")
    postgres.prepare()
    child = ChildProcess(postgres.command())
    pump = threading.Thread(target=child.output.read)
    pump.start()
    poll(postgres.is_ready, timeout_seconds=60, what="the first server")
    postgres.prepare()
    assert processes_in(tmp_path / "postgres" / "data") == []
    assert child.clean_up() == 0
    pump.join()
    child.output.close()


def test_stop_is_a_clean_shutdown(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(folder=tmp_path / "postgres")
    for _ in range(2):
        with supervised(tmp_path / "run", postgres_spec(postgres)) as lines:
            pass
    assert any("database system was shut down at" in line for line in lines)
    assert not any("automatic recovery" in line for line in lines)
    assert not (tmp_path / "postgres" / "data" / "postmaster.pid").exists()


def test_cluster_of_another_version_is_refused_with_the_way_out(tmp_path: Path) -> None:
    cluster = tmp_path / "postgres" / "data"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("16\n")
    with pytest.raises(Conflict) as caught:
        EmbeddedPostgres(folder=tmp_path / "postgres").prepare()
    assert caught.value.reason == "postgres_version"
    for named in ("PostgreSQL 16", "pg_dump ", "pg_restore ", str(cluster)):
        assert named in str(caught.value)
    assert [path.name for path in cluster.iterdir()] == ["PG_VERSION"]


def test_half_made_cluster_of_a_killed_start_is_made_anew(tmp_path: Path) -> None:
    unfinished = tmp_path / "postgres" / "data.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    postgres = EmbeddedPostgres(folder=tmp_path / "postgres")
    with supervised(tmp_path / "run", postgres_spec(postgres)):
        postgres.create_database()
        assert setting(postgres, "server_encoding") == "UTF8"
    assert not unfinished.exists()


def test_folder_whose_socket_path_is_too_long_gets_a_short_one(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(folder=tmp_path / ("long-" * 25) / "postgres")
    with supervised(tmp_path / "run", postgres_spec(postgres)):
        with psycopg.connect(postgres.url("postgres")) as connection:
            socket_folder = Path(connection.info.host)
        assert len(str(socket_folder)) < 60
        assert socket_folder.stat().st_mode & 0o777 == 0o700


def test_programs_of_the_wheel_are_version_18() -> None:
    version = subprocess.run([installed_programs() / "postgres", "--version"], capture_output=True, text=True, check=True)
    assert " 18." in version.stdout
