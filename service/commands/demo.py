"""`sonomyo demo`: the whole service for real, one cine sent by C-STORE, its report as a table or JSON."""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import httpx2
import typer
from rich.console import Console

from service.commands.stop_signals import stop_signals_end_it
from service.core.report import Report
from service.embedded.postgres_account import make_data_folder
from service.embedded.processes import Command, launch_arguments
from service.errors import SonomyoError, Unavailable
from service.settings import DicomSettings, HttpSettings, Settings

START_SECONDS = 120.0
REPORT_SECONDS = 120.0
#: `up` gives PostgreSQL a minute, and the others 40 s before that.
STOP_SECONDS = 120.0


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("demo")(demo_command)


def demo_command(
    context: typer.Context,
    file: Annotated[Path | None, typer.Option(help="Send this file instead of a simulated calf cine.", exists=True)] = None,
    exit_: Annotated[bool, typer.Option("--exit", help="Stop after the report.")] = False,  # noqa: FBT002 - a switch
    json_: Annotated[bool, typer.Option("--json", help="Print the report as JSON on standard output.")] = False,  # noqa: FBT002 - an option of a command
) -> None:
    """Start everything, send a calf cine, wait for its report, show it, and serve until Ctrl-C."""
    from service.adapters.instance_store import read_instance
    from service.core.render.table import report_table

    say = Console(stderr=True)
    settings = _with_free_ports(context.obj, say)
    with (
        stop_signals_end_it(),
        tempfile.TemporaryDirectory(prefix="sonomyo-demo-") as folder,
        _running(settings, say) as api,
    ):
        path = file or _simulated(Path(folder), say)
        attributes, _ = read_instance(path)
        if api.get(f"/api/v1/studies/{attributes.study_instance_uid}").status_code == httpx2.codes.OK:
            say.print("this study was stored before: what is known of it is not computed again")
        started = time.monotonic()
        _send(settings, path, say)
        report = _wait_for_report(api, attributes.study_instance_uid)
        say.print(f"report ready {time.monotonic() - started:.1f} s after sending began")
        if json_:
            typer.echo(report.model_dump_json(indent=2))
        else:
            Console().print(report_table(report))
            say.print(
                f"report page: {_sign_in(api, f'/studies/{attributes.study_instance_uid}')}  (the link opens once)",
                soft_wrap=True,
            )
        if not exit_:
            say.print("serving until Ctrl-C")
            signal.pause()


@contextmanager
def _running(settings: Settings, say: Console) -> Iterator[httpx2.Client]:
    """`sonomyo up` as a child, its log in the data folder; a client with a fresh administrator's key.

    The child has a process group of its own, so that a stop signal reaches it once, from here; it gets SIGTERM when this
    process dies, however that comes.
    """
    key = secrets.token_urlsafe(32)
    make_data_folder(settings.data_dir)
    log_path = settings.data_dir / "demo.log"
    environment = {
        **os.environ,
        "SONOMYO_API__KEY": key,
        "SONOMYO_DATA_DIR": str(settings.data_dir),
        "SONOMYO_DICOM__PORT": str(settings.dicom.port),
        "SONOMYO_HTTP__PORT": str(settings.http.port),
    }
    command = Command(arguments=[sys.executable, "-m", "service", "up"], death_signal=signal.SIGTERM)
    with _private_file(log_path) as log:
        up = subprocess.Popen(  # noqa: S603 - no shell, and the arguments are our own
            launch_arguments(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            process_group=0,
        )
    try:
        _wait_until_ready(up, log_path, say)
        address = f"http://{settings.http.host}:{settings.http.port}"
        with httpx2.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=30) as api:
            yield api
    finally:
        up.send_signal(signal.SIGTERM)
        try:
            up.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            up.kill()


def _private_file(path: Path) -> IO[bytes]:
    """Empty, and for its owner's eyes: a sign-in link will be in it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "wb")


def _wait_until_ready(up: subprocess.Popen[bytes], log_path: Path, say: Console) -> None:
    started = time.monotonic()
    with say.status("starting PostgreSQL, Triton, listener, worker and API …"):
        while b"\nREADY" not in b"\n" + log_path.read_bytes():
            if up.poll() is not None:
                tail = log_path.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise Unavailable(f"The service stopped while starting; the end of {log_path}:\n{tail}")
            if time.monotonic() - started > START_SECONDS:
                raise Unavailable(f"The service was not ready after {START_SECONDS:.0f} s; see {log_path}.")
            time.sleep(0.1)
    say.print(f"ready after {time.monotonic() - started:.1f} s")


def _with_free_ports(settings: Settings, say: Console) -> Settings:
    """The default ports, or free ones where another program holds them."""
    from service.commands.whole import with_chosen_ports
    from service.embedded.ports import is_free

    parts: dict[str, DicomSettings | HttpSettings] = {"dicom": settings.dicom, "http": settings.http}
    taken = [name for name, one in parts.items() if "port" not in one.model_fields_set and not is_free(one.host, one.port)]
    chosen = with_chosen_ports(settings.model_copy(update={name: parts[name].model_copy(update={"port": 0}) for name in taken}))
    for name in taken:
        say.print(f"port {parts[name].port} is taken, {name.upper()} listens on {getattr(chosen, name).port}")
    return chosen


def _simulated(folder: Path, say: Console) -> Path:
    from simulator.write import simulate

    say.print("simulating a calf contraction, 60 frames of 640x480 …")
    return next(path for path in simulate("calf", folder, n=1, seed=20261121, transfer_syntax="jpeg") if path.suffix == ".dcm")


def _send(settings: Settings, path: Path, say: Console) -> None:
    from service.adapters.store_scu import send_paths

    dicom = settings.dicom
    say.print(f"sending {path.name} by C-STORE to {dicom.ae_title}@{dicom.host}:{dicom.port} …")
    (result,) = send_paths([path], host=dicom.host, port=dicom.port, ae_title=dicom.ae_title)
    if not result.ok:
        said = f"{result.message} {result.comment}".rstrip()
        raise SonomyoError(f"The listener refused the instance: {said}")


def _wait_for_report(api: httpx2.Client, study_instance_uid: str) -> Report:
    """Ask for completion at once (the stable age stays as it is), then poll for the report."""
    address = f"/api/v1/studies/{study_instance_uid}"
    api.post(f"{address}/complete").raise_for_status()
    deadline = time.monotonic() + REPORT_SECONDS
    while time.monotonic() < deadline:
        answer = api.get(f"{address}/report", headers={"Accept": "application/json"})
        if answer.status_code == httpx2.codes.OK:
            return Report.model_validate(answer.json())
        time.sleep(0.1)
    raise Unavailable(f"No report after {REPORT_SECONDS:.0f} s; `sonomyo doctor` may say why.")


def _sign_in(api: httpx2.Client, page: str) -> str:
    answer = api.post("/api/v1/sign-in-links", json={"role": "viewer", "page": page}).raise_for_status()
    return str(answer.json()["url"])
