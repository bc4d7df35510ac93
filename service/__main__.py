"""The command line: `sonomyo`, also `python -m service`. Settings are read here, once."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from service.commands import demo, files, operate, roles
from service.errors import SonomyoError
from service.settings import Settings, read_settings

app = typer.Typer(
    name="sonomyo",
    help="Inference microservice for musculoskeletal ultrasound. Research use only, not for diagnosis.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for module in (roles, demo, files, operate):
    module.register(app)


@app.callback()
def configure(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with settings; SONOMYO_* variables win over it.", exists=True)
    ] = None,
) -> None:
    """Read the settings; an unknown or invalid one stops the start with its name."""
    context.obj = _read(config)


def main() -> None:
    """Run a command; what goes wrong on purpose is one line on standard error, not a traceback."""
    try:
        app()
    except SonomyoError as error:
        typer.echo(f"sonomyo: {error}", err=True)
        raise SystemExit(1) from error


def _read(config: Path | None) -> Settings:
    try:
        return read_settings(config)
    except ValidationError as error:
        for wrong in error.errors(include_url=False, include_input=False):
            name = "SONOMYO_" + "__".join(str(part) for part in wrong["loc"]).upper()
            typer.echo(f"sonomyo: setting {name}: {wrong['msg']}", err=True)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
