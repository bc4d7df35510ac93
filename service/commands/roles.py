"""`sonomyo up` and the roles that it runs: listener, worker, api, triton."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from service.bootstrap import Service
from service.logs import configure_logging
from service.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("up")(up_command)
    app.command("listener")(listener_command)
    app.command("worker")(worker_command)
    app.command("api")(api_command)
    app.command("triton")(triton_command)


def up_command(
    context: typer.Context,
    data_dir: Annotated[Path | None, typer.Option(help="Where everything is kept.")] = None,
) -> None:
    """The whole service on this machine, with embedded PostgreSQL and Triton. Ctrl-C stops it cleanly."""
    from service.commands.whole import up

    settings: Settings = context.obj
    if data_dir is not None:
        settings = settings.model_copy(update={"data_dir": data_dir.expanduser().resolve()})
    _log(settings, "up")
    raise typer.Exit(up(settings))


def listener_command(context: typer.Context) -> None:
    """The C-STORE listener."""
    from service.commands.listening import run_listener

    _log(context.obj, "listener")
    run_listener(context.obj)


def worker_command(
    context: typer.Context,
    queues: Annotated[
        str | None, typer.Option(help="Comma-separated: analysis, shadow, flow, capture, delivery. All by default.")
    ] = None,
) -> None:
    """An analysis worker; run as many as there are cores or GPUs to feed."""
    from service.commands.working import run_worker_role

    _log(context.obj, "worker")
    with closing(Service(context.obj)) as service:
        run_worker_role(service, None if queues is None else [name.strip() for name in queues.split(",")])


def api_command(context: typer.Context) -> None:
    """The REST interface and the pages."""
    from service.commands.serving import run_api

    _log(context.obj, "api")
    with closing(Service(context.obj)) as service:
        run_api(service)


def triton_command(context: typer.Context) -> None:
    """The embedded Triton on its own, in the foreground."""
    from service.commands.whole import run_triton

    _log(context.obj, "triton")
    raise typer.Exit(run_triton(context.obj))


def _log(settings: Settings, role: str) -> None:
    configure_logging(format=settings.log_format, level=settings.log_level, role=role)
