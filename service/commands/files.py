"""Commands on files: send, analyze, simulate, explain."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from service.bootstrap import Service
from service.commands.stop_signals import stop_signals_end_it
from service.core.languages import LanguageTag
from service.core.report import ReportStatus
from service.errors import InputRejected
from service.settings import Settings

if TYPE_CHECKING:
    from simulator.encode import TransferSyntax

_ADDRESS = re.compile(r"(?P<ae_title>[^@]{1,16})@(?P<host>[^:@]+):(?P<port>\d{1,5})")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("send")(send_command)
    app.command("analyze")(analyze_command)
    app.command("simulate")(simulate_command)
    app.command("explain")(explain_command)


def send_command(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", exists=True)],
    to: Annotated[str | None, typer.Option(help="AET@HOST:PORT; this machine's listener by default.")] = None,
) -> None:
    """Send instances by C-STORE; exits 1 if any was refused, naming each."""
    from service.adapters.store_scu import SendResult, send_paths

    ae_title, host, port = _address(context.obj, to)
    with Progress(TextColumn("sending"), BarColumn(), MofNCompleteColumn(), console=Console(stderr=True)) as progress:
        bar = progress.add_task("send", total=None)

        def show(result: SendResult, total: int) -> None:
            progress.update(bar, advance=1, total=total)
            if result.message:
                said = f"{result.message} The peer says: {result.comment}" if result.comment else result.message
                kind = "stored" if result.ok else "refused"
                progress.console.print(f"{kind}: {result.path}: {said}", markup=False, highlight=False, soft_wrap=True)

        results = send_paths(paths, host=host, port=port, ae_title=ae_title, progress=show)
    refused = sum(not result.ok for result in results)
    typer.echo(f"{len(results) - refused} stored, {refused} refused")
    raise typer.Exit(1 if refused or not results else 0)


def analyze_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    output: Annotated[Path, typer.Option("-o", help="Folder for report.json, report.html, sr.dcm and the like.")],
    analysis: Annotated[str | None, typer.Option(help="Run this one, whatever the rules say.")] = None,
    language: Annotated[
        LanguageTag | None, typer.Option(help="Of report.html and report.pdf; that of the settings by default.")
    ] = None,
) -> None:
    """Analyse one file with the same core, without a database."""
    from service.commands.one_file import analyze_file, plan
    from service.commands.whole import triton_for

    planned = plan(Service(context.obj), file, analysis)
    output.mkdir(parents=True, exist_ok=True)
    with stop_signals_end_it(), triton_for(context.obj) as settings:
        report = analyze_file(Service(settings), planned, output, language)
    typer.echo(f"{report.impression}\nwritten to {output}")


def simulate_command(
    kind: Annotated[str, typer.Argument(help="calf, trapezius, wrist or motor-units")],
    output: Annotated[Path, typer.Option("-o", help="Folder for the cines and their truth.")],
    number: Annotated[int, typer.Option("-n", min=1, help="How many cines.")] = 1,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal files.")] = 1,
    frames: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Frames of each cine: 60 of a calf, seconds of a trapezius, all of an examination of a wrist, 512 of units.",
        ),
    ] = None,
    transfer_syntax: Annotated[
        str, typer.Option(help="explicit, implicit, jpeg, rle, jpeg-lossless, jpeg-ls, jpeg2000")
    ] = "explicit",
    *,
    states: Annotated[
        bool, typer.Option("--states", help="Of a calf: the ankle turns and both muscles tense, with angle, activity and moment.")
    ] = False,
) -> None:
    """Simulate DICOM cines with the truth beside each as JSON."""
    from simulator.write import simulate

    if states and kind != "calf":
        raise InputRejected(f"--states is of the calf alone; leave it out for {kind!r}, or simulate 'calf'")
    kind = f"{kind}-states" if states else kind
    syntax = cast("TransferSyntax", transfer_syntax)
    try:
        for path in simulate(kind, output, n=number, seed=seed, transfer_syntax=syntax, number_of_frames=frames):
            typer.echo(str(path))
    except ValueError as error:
        raise InputRejected(str(error)) from error


def explain_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    *,
    rules: Annotated[Path | None, typer.Option(help="A rules file to try, in place of that of the settings.")] = None,
    called: Annotated[
        str | None, typer.Option("--called-ae", "--called", help="The called AE title that it would arrive under.")
    ] = None,
    calling: Annotated[str | None, typer.Option("--calling-ae", help="The AE title that would send it.")] = None,
    status: Annotated[ReportStatus, typer.Option(help="Of the report, for the destinations.")] = ReportStatus.PRELIMINARY,
    needs_review: Annotated[
        bool, typer.Option("--needs-review", help="Suppose that something in the report needs review.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Which analyses would run on a file, where the report would go, and the rule or attribute that decided; nothing is run."""
    from service.commands.explaining import explain_file

    explained = explain_file(
        Service(context.obj),
        file,
        rules_file=rules,
        called_ae_title=called,
        calling_ae_title=calling,
        status=status,
        needs_review=needs_review,
    )
    typer.echo(explained.model_dump_json(indent=2) if as_json else "\n".join(explained.lines()))


def _address(settings: Settings, to: str | None) -> tuple[str, str, int]:
    if to is None:
        return settings.dicom.ae_title, settings.dicom.host, settings.dicom.port
    found = _ADDRESS.fullmatch(to)
    if found is None:
        raise typer.BadParameter("give AET@HOST:PORT, for example SONOMYO@127.0.0.1:11112", param_hint="--to")
    return found["ae_title"], found["host"], int(found["port"])
