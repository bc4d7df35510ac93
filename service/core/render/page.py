"""The templates of the pages and drawings that a report is rendered to; every value is escaped."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def templates() -> Environment:
    """Compiled once a process."""
    return Environment(
        loader=PackageLoader("service.core.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
