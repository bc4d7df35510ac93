"""Commands of the person who runs the service: migrate, models, keys, doctor, backup, restore."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.table import Column, Table

from service.bootstrap import Service
from service.commands.terminal import console as _console
from service.errors import SonomyoError

keys = typer.Typer(help="API keys for programs; a key is shown once, only its hash is kept.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("migrate")(migrate_command)
    app.command("models")(models_command)
    app.command("shadow")(shadow_command)
    app.command("doctor")(doctor_command)
    app.command("backup")(backup_command)
    app.command("restore")(restore_command)
    keys.command("create")(create_key)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke_key)
    app.add_typer(keys, name="keys")


def migrate_command(context: typer.Context) -> None:
    """Bring the database to this version's revision (alembic upgrade head)."""
    from service.adapters.migrations import migrate

    typer.echo(f"database at revision {migrate(Service(context.obj).engine)}")


def models_command(context: typer.Context) -> None:
    """Model, version, weights, evidence and readiness, as Triton serves them."""
    service = Service(context.obj)
    table = Table(
        Column("Model", overflow="fold"), "Version", Column("Weights SHA-256", overflow="fold"), "Evidence", "Runtime", "Ready"
    )
    for spec in service.models:
        try:
            used = service.server.describe(spec)
            table.add_row(
                used.name, used.version, used.sha256, used.evidence, f"{used.runtime} {used.precision or ''}".strip(), "yes"
            )
        except SonomyoError as error:
            table.add_row(spec.model_name, spec.model_version, "", "", "", f"no: {error}")
    _console().print(table)


def shadow_command(context: typer.Context) -> None:
    """Models in shadow mode against the served ones: shadow less served, over the instances that both measured."""
    from service.adapters.operation_queries import PostgresOperationViews

    table = Table("Analysis", "In shadow", "Quantity", "Both", "Only served", "Only shadow", "Mean difference", "SD", "Largest")
    for row in PostgresOperationViews(engine=Service(context.obj).engine).shadow_comparisons():
        versions = ", ".join(f"{name} {version}" for name, version in row.model_versions.items())
        counts = (str(row.both), str(row.only_served), str(row.only_shadow))
        numbers = (row.mean_difference, row.sd_of_differences, row.largest_absolute_difference)
        shown = ("" if number is None else f"{number:.3g} {row.unit}" for number in numbers)
        table.add_row(row.analysis, versions, row.name, *counts, *shown)
    _console().print(table)


def doctor_command(context: typer.Context) -> None:
    """Check configuration, ports, disk, database, models and destinations; say what to mend."""
    from service.doctor import examine

    checks = examine(Service(context.obj))
    table = Table("Check", "State", "Found, or what to mend")
    for check in checks:
        table.add_row(check.name, "ok" if check.ok else "PROBLEM", check.advice)
    _console().print(table)
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)


def backup_command(context: typer.Context, file: Annotated[Path, typer.Argument(help="The archive to write.")]) -> None:
    """Database and instance store in one archive, consistent, verified by hash."""
    from service.adapters.backup import backup
    from service.commands.whole import database_for

    with database_for(context.obj) as url, _bar() as show:
        said = backup(file, database_url=url, store=Service(context.obj).store, progress=show)
    typer.echo(said)


def restore_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="An archive made by `sonomyo backup`.", exists=True)],
    force: Annotated[bool, typer.Option(help="Replace what is there.")] = False,  # noqa: FBT002 - a command-line switch
) -> None:
    """Put an archive back; every file is verified by hash."""
    from service.adapters.backup import restore
    from service.adapters.backup_archive import check_outline
    from service.commands.whole import database_for

    check_outline(file)
    with database_for(context.obj, make=True) as url, _bar() as show:
        said = restore(file, database_url=url, store=Service(context.obj).store, force=force, progress=show)
    typer.echo(said)


def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[
        str, typer.Option(help="viewer, radiologist or administrator; signing takes a person's session, no key can.")
    ] = "viewer",
) -> None:
    """Make a key and show it once."""
    from service.adapters.access import ApiKeys

    typer.echo(ApiKeys(engine=Service(context.obj).engine).create(name=name, role=role))


def list_keys(context: typer.Context) -> None:
    """Names, roles and ages of the keys."""
    from service.adapters.access import ApiKeys

    table = Table("Key", "Name", "Role", "Created", "Last used", "Revoked")
    for key in ApiKeys(engine=Service(context.obj).engine).list():
        table.add_row(key.key_id, key.name, key.role, str(key.created_at), str(key.last_used_at or ""), str(key.revoked_at or ""))
    _console().print(table)


def revoke_key(context: typer.Context, key_id: str) -> None:
    """End a key at once."""
    from service.adapters.access import ApiKeys

    ApiKeys(engine=Service(context.obj).engine).revoke(key_id)


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each step on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done_bytes: int, total_bytes: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=total_bytes)
            progress.update(tasks[step], completed=done_bytes)

        yield show
