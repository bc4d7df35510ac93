"""The command line: `sonomyo`, also `python -m service`. Settings are read here, once."""

import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from service.adapters.listener_sockets import server_context
from service.bootstrap import Service, database_url
from service.commands import demo, files, operate, roles, users
from service.errors import InputRejected, SonomyoError
from service.settings import Settings, read_settings

#: Commands that decide by the rules what is analysed; `doctor` tells of them as of everything else, `explain` may try others.
ROUTES = frozenset({"up", "demo", "listener", "worker", "api", "analyze"})
#: Commands that start the listener: the supervisor would restart for ever one that cannot read its certificate.
LISTENS = frozenset({"up", "demo", "listener"})

#: Errors of what is set, which exit 2 whichever step notices them.
_OF_SETTINGS = frozenset({"routing_file_invalid", "invalid_setting"})

app = typer.Typer(
    name="sonomyo",
    help="Inference microservice for musculoskeletal ultrasound. Research use only, not for diagnosis.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for module in (roles, demo, files, operate, users):
    module.register(app)


@app.callback()
def configure(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(help="A TOML file with settings; SONOMYO_* variables win over it.", exists=True, dir_okay=False),
    ] = None,
) -> None:
    """Read the settings; an unknown or invalid one stops the start with its name."""
    context.obj = _read(config)
    if context.invoked_subcommand in ROUTES:
        _checked(lambda: Service(context.obj).rules)
    if context.obj.database.url_file is not None:
        _checked(lambda: database_url(context.obj))
    if context.invoked_subcommand in LISTENS:
        _checked(lambda: server_context(context.obj.dicom))


def main() -> None:
    """Run a command; what goes wrong on purpose, or with a path, is one line on standard error, not a traceback."""
    try:
        app()
    except SonomyoError as error:
        _say(str(error))
        raise SystemExit(2 if error.reason in _OF_SETTINGS else 1) from error
    except OSError as error:
        if error.filename is None:  # of no path: a fault of ours, whose traceback is wanted
            raise
        _say(f"cannot use {error.filename}: {error.strerror}")
        raise SystemExit(1) from error


def _read(config: Path | None) -> Settings:
    """Exits 2 with a line for each setting that is wrong, by its name and never by its value, which may be a secret."""
    try:
        return read_settings(config)
    except ValidationError as error:
        for wrong in error.errors(include_url=False, include_input=False):
            name = "__".join(str(part) for part in wrong["loc"]).upper()
            said = wrong["msg"].removeprefix("Value error, ")
            _say(f"setting SONOMYO_{name}: {said}" if name else f"settings: {said}")
        raise SystemExit(2) from error
    except SettingsError as error:
        _say(f"setting {_unparsed(error)}: this is no valid JSON")
        raise SystemExit(2) from error
    except tomllib.TOMLDecodeError as error:
        _say(f"{config} is no valid TOML: {error}")
        raise SystemExit(2) from error
    except UnicodeDecodeError as error:
        _say(f"{config or '.env'} is no text in UTF-8")
        raise SystemExit(2) from error
    except OSError as error:
        _say(f"cannot read {error.filename}: {error.strerror}")
        raise SystemExit(2) from error
    except SonomyoError as error:
        _say(str(error))
        raise SystemExit(2) from error


def _checked(read: Callable[[], object]) -> None:
    """Exits 2 with one line that names what is wrong in a file that the settings name."""
    try:
        read()
    except InputRejected as error:
        _say(str(error))
        raise SystemExit(2) from error


def _unparsed(error: SettingsError) -> str:
    """The variable's name. The error names its section only, so the variable is found by the text that could not be parsed."""
    found = re.search(r'field "(\w+)"', str(error))
    section = f"SONOMYO_{found[1]}".upper() if found else "SONOMYO_*"
    text = getattr(error.__cause__, "doc", None)
    names = (name for name, value in os.environ.items() if name.upper().startswith(section) and value == text)
    return next(names, section)


def _say(line: str) -> None:
    typer.echo(f"sonomyo: {line}", err=True)


if __name__ == "__main__":
    main()
