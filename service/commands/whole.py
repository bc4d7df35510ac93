"""`sonomyo up`: PostgreSQL, Triton, listener, worker and API under one supervisor, on one machine, without Docker or root."""

import errno
import json
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_core import to_jsonable_python

from service.access import HOW_TO_ADD_AN_ACCOUNT, Role
from service.adapters.access import SignInLinks
from service.adapters.migrations import migrate
from service.adapters.passwords import Passwords
from service.adapters.postgres import make_engine
from service.adapters.users import LocalUsers
from service.bootstrap import database_url, remember_embedded
from service.embedded.ports import family_of, free_ports
from service.embedded.postgres import EmbeddedPostgres
from service.embedded.postgres_account import make_data_folder
from service.embedded.processes import Command
from service.embedded.supervisor import ProcessSpec, Supervisor
from service.embedded.triton import LOOPBACK, EmbeddedTriton
from service.errors import Conflict, Unavailable
from service.settings import Settings

READY_LINES = {"listener": "listener_started", "worker": "worker_ready", "api": "api_ready"}
#: How long the ports of an earlier run may still be held by processes that are dying.
_DYING_SECONDS = 4.0
_SAY_LOCK = threading.Lock()
#: What somebody waits for goes first on a busy machine: receiving and answering before analysing.
_WORKER_NICENESS = 15
_CHECKOUT = Path(__file__).resolve().parents[2]


def up(settings: Settings) -> int:
    """Run everything until SIGINT, SIGTERM or SIGHUP; gives the exit status.

    Raises Conflict when a port is taken, or when another runs in the same data folder.
    """
    make_data_folder(settings.data_dir)
    settings = with_chosen_ports(with_admin_key(settings))
    postgres, triton = _postgres(settings, say), _triton(settings, settings.data_dir / "triton", say)
    stop = _stop_event()
    supervisor = Supervisor(_processes(settings, postgres, triton), run_folder=settings.data_dir / "run", say=say)
    supervisor.start(first=lambda: _check_ports(settings))
    try:
        if supervisor.wait_until_ready(stop):
            remember_embedded(settings, None if postgres is None else postgres.url(), None if triton is None else triton.url)
            _say_where(settings, postgres.url() if postgres is not None else database_url(settings))
            stop.wait()
        elif supervisor.failure is not None:
            say(f"sonomyo | {supervisor.failure}")
            return 1
    finally:
        supervisor.stop()
    return 0


def run_triton(settings: Settings) -> int:
    """The embedded Triton alone, in the foreground, until SIGINT, SIGTERM or SIGHUP."""
    triton = _triton(settings, settings.data_dir / "triton", say)
    stop = _stop_event()
    supervisor = Supervisor([_triton_spec(triton)], run_folder=settings.data_dir / "run", say=say)
    supervisor.start()
    try:
        if supervisor.wait_until_ready(stop):
            say("READY")
            stop.wait()
    finally:
        supervisor.stop()
    return 0 if supervisor.failure is None else 1


@contextmanager
def triton_for(settings: Settings) -> Iterator[Settings]:
    """Settings with a Triton that serves: the configured one, or an embedded one for as long as this lasts."""
    if settings.triton.url is not None:
        yield settings
        return
    # In the data folder where there is one: the common folder for temporary files may forbid programs, which Triton copies.
    inside = settings.data_dir if settings.data_dir.is_dir() else None
    with tempfile.TemporaryDirectory(prefix=".triton-", dir=inside, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        triton = _triton(settings, folder / "triton", _aside)
        assert triton is not None  # noqa: S101 - for the type checker: no URL is set
        supervisor = Supervisor([_triton_spec(triton)], run_folder=folder / "run", say=lambda _: None)
        supervisor.start()
        try:
            if not supervisor.wait_until_ready(threading.Event()):
                raise Unavailable(supervisor.failure or "Triton did not start.")
            yield settings.model_copy(update={"triton": settings.triton.model_copy(update={"url": triton.url})})
        finally:
            supervisor.stop()


@contextmanager
def database_for(settings: Settings, *, make: bool = False) -> Iterator[str]:
    """The configured database, that of a running `sonomyo up`, or else the embedded one for as long as this lasts.

    Raises Unavailable when there is none, unless one may be made.
    """
    postgres = _postgres(settings, _aside)
    if postgres is None:
        yield database_url(settings)
        return
    if not make and not (settings.data_dir / "postgres" / "data").exists():
        raise Unavailable(f"{settings.data_dir} holds no database: set SONOMYO_DATA_DIR or SONOMYO_DATABASE__URL.")
    if postgres.is_ready():
        yield postgres.url()
        return
    make_data_folder(settings.data_dir)
    supervisor = Supervisor([_postgres_spec(postgres)], run_folder=settings.data_dir / "run", say=lambda _: None)
    supervisor.start()
    try:
        if not supervisor.wait_until_ready(threading.Event()):
            raise Unavailable(supervisor.failure or "PostgreSQL did not start.")
        yield postgres.url()
    finally:
        supervisor.stop()


def with_admin_key(settings: Settings) -> Settings:
    """Settings with an administrator's key: the given one, or one made once and kept in the data folder, mode 0600.

    The data folder must be there.
    """
    if settings.api.key is not None or settings.api.key_file is not None:
        return settings
    path = settings.data_dir / "administrator-key"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    return settings.model_copy(update={"api": settings.api.model_copy(update={"key_file": path})})


def with_chosen_ports(settings: Settings) -> Settings:
    """Settings in which every port 0 is a free one: it can be told to people, and stays when a role is restarted."""
    each = [("dicom", "port"), ("dicom", "tls_port"), ("http", "port")]
    wanted = [(part, name) for part, name in each if getattr(getattr(settings, part), name) == 0]
    ports = free_ports(*(getattr(settings, part).host for part, _ in wanted))
    for (part, name), port in zip(wanted, ports, strict=True):
        settings = settings.model_copy(update={part: getattr(settings, part).model_copy(update={name: port})})
    return settings


def _check_ports(settings: Settings) -> None:
    """Raises Conflict naming the port that nothing could listen on, and its setting.

    Those of an earlier run may be held for a moment by processes that are dying.
    """
    dicom, http = settings.dicom, settings.http
    ports = [("DICOM__PORT", dicom.host, dicom.port), ("HTTP__PORT", http.host, http.port)]
    if dicom.tls_port is not None:
        ports.append(("DICOM__TLS_PORT", dicom.host, dicom.tls_port))
    with ExitStack() as held:
        for name, host, port in ports:
            held.enter_context(_held(host, port, f"SONOMYO_{name}"))


def _held(host: str, port: int, setting: str) -> socket.socket:
    until = time.monotonic() + _DYING_SECONDS
    while True:
        try:
            return socket.create_server((host, port), family=family_of(host))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > until:
                why = os.strerror(error.errno or 0)
                raise Conflict(f"Nothing can listen on {host} port {port}: {why}. Free it, or change {setting}.") from error
        time.sleep(0.05)


def _stop_event() -> threading.Event:
    """Set by the first signal to stop; SIGHUP stays ignored under nohup."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())
    return stop


def _aside(line: str) -> None:
    """What a person at a terminal may want to see of the servers of a command, and no program reads."""
    if sys.stderr.isatty():
        sys.stderr.write(line + "\n")


def say(line: str) -> None:
    """One line of the supervisor's own output, whole even when several threads speak."""
    with _SAY_LOCK:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def environment_of(settings: Settings, **changes: Mapping[str, object]) -> dict[str, str]:
    """What a child process reads to get these settings: one SONOMYO_* variable a section, as JSON, secrets included."""
    sections: dict[str, Any] = to_jsonable_python(_unmasked(settings.model_dump(exclude_none=True)))
    for name, change in changes.items():
        sections[name] = {**sections[name], **change}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SONOMYO_")}
    as_text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in sections.items()}
    return {**inherited, **{f"SONOMYO_{name.upper()}": value for name, value in as_text.items()}}


def _unmasked(value: object) -> object:
    """Secrets as they are, wherever they stand: pydantic writes asterisks for them, and a destination has some, too."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: _unmasked(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_unmasked(each) for each in value]
    return value


def _processes(settings: Settings, postgres: EmbeddedPostgres | None, triton: EmbeddedTriton | None) -> list[ProcessSpec]:
    specs: list[ProcessSpec] = []
    changes: dict[str, Mapping[str, object]] = {}
    if postgres is not None:
        changes["database"] = {"url": postgres.url()}
        specs.append(_postgres_spec(postgres))
    if triton is not None:
        changes["triton"] = {"url": triton.url}
        specs.append(_triton_spec(triton))
    environment = environment_of(settings, **changes)
    database = [spec.name for spec in specs if spec.name == "postgres"]
    servers = [spec.name for spec in specs]
    specs.append(_role("listener", environment, database, f"{settings.dicom.host}:{settings.dicom.port}"))
    specs.append(_role("api", environment, database, f"{settings.http.host}:{settings.http.port}"))
    specs.append(_role("worker", environment, servers, "", niceness=_WORKER_NICENESS))
    return specs


def _postgres(settings: Settings, tell: Callable[[str], None]) -> EmbeddedPostgres | None:
    if settings.database.url is not None or settings.database.url_file is not None:
        return None
    return EmbeddedPostgres(folder=settings.data_dir / "postgres", say=lambda line: tell(f"postgres | {line}"))


def _postgres_spec(postgres: EmbeddedPostgres) -> ProcessSpec:
    def command() -> Command:
        postgres.prepare()
        return postgres.command()

    return ProcessSpec(
        name="postgres",
        command=command,
        is_ready=postgres.is_ready,
        once_ready=lambda: _migrate(postgres),
        address="a unix socket",
    )


def _migrate(postgres: EmbeddedPostgres) -> None:
    postgres.create_database()
    engine = make_engine(postgres.url(), pool_size=1)
    try:
        migrate(engine)
    finally:
        engine.dispose()


def _triton(settings: Settings, folder: Path, tell: Callable[[str], None]) -> EmbeddedTriton | None:
    if settings.triton.url is not None:
        return None
    grpc_port, http_port, metrics_port = free_ports(*[LOOPBACK] * 3)
    return EmbeddedTriton(
        folder=folder,
        environment=_from_checkout(settings.triton.environment),
        model_repository=_from_checkout(settings.triton.model_repository),
        grpc_port=grpc_port,
        http_port=http_port,
        metrics_port=metrics_port,
        say=lambda line: tell(f"triton   | {line}"),
    )


def _from_checkout(path: Path) -> Path:
    """A relative folder that is not below the working directory is looked for beside the package, where `make` puts it."""
    beside = _CHECKOUT / path
    return beside if not path.exists() and beside.exists() else path


def _triton_spec(triton: EmbeddedTriton | None) -> ProcessSpec:
    if triton is None:
        raise Unavailable("SONOMYO_TRITON__URL is set: that Triton serves, there is none to start here.")

    def command() -> Command:
        triton.prepare()
        return triton.command()

    return ProcessSpec(name="triton", command=command, is_ready=triton.is_ready, is_alive=triton.is_alive, address=triton.url)


def _role(name: str, environment: Mapping[str, str], needs: list[str], address: str, *, niceness: int = 0) -> ProcessSpec:
    arguments = [sys.executable, "-m", "service", name]
    command = Command(arguments=arguments, environment=environment, stop_seconds=40.0, niceness=niceness)
    return ProcessSpec(name=name, command=lambda: command, ready_line=READY_LINES[name], needs=needs, address=address)


def _say_where(settings: Settings, url: str) -> None:
    address = f"http://{settings.http.host}:{settings.http.port}"
    engine = make_engine(url, pool_size=1)
    token = SignInLinks(engine=engine).create_link(Role.RADIOLOGIST)
    users = LocalUsers(engine=engine, passwords=Passwords()).list()
    engine.dispose()
    if settings.api.key_file is not None:
        say(f"sonomyo | administrator's API key: in {settings.api.key_file}")
    say(f"sonomyo | DICOM {settings.dicom.ae_title}@{settings.dicom.host}:{settings.dicom.port}, REST and pages at {address}/")
    say(f"sonomyo | sign in once with {address}/sign-in/{token}")
    if all(user.disabled_at is not None for user in users):
        where = f"SONOMYO_DATA_DIR={settings.data_dir}"
        say(f"sonomyo | nobody has an account yet, so nobody can sign reports: {HOW_TO_ADD_AN_ACCOUNT}, with {where}")
    say("READY")
