"""The templates of the pages and drawings that a report is rendered to; every value is escaped."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from service.core.wording import without_turns


@cache
def templates() -> Environment:
    """Compiled once a process."""
    return Environment(
        loader=PackageLoader("service.core.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )


def finalize(value: object) -> object:
    """What a template writes of a value: text as it is stored, unless it is markup already, as what a person edits is (`| e`)."""
    return without_turns(value) if isinstance(value, str) and not isinstance(value, Markup) else value
