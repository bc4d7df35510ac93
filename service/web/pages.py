"""How pages are made of templates."""

from functools import cache

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader

from service.core.wording import person_name


def present(template: str, *, status_code: int = 200, **values: object) -> HTMLResponse:
    """A template with its values, escaped."""
    return HTMLResponse(_templates().get_template(template).render(**values), status_code=status_code)


def shown_date(value: str | None) -> str:
    """`20261120` becomes `2026-11-20`; anything else stays as it is."""
    text = value or ""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isascii() and text.isdigit() else text  # noqa: PLR2004


@cache
def _templates() -> Environment:
    environment = Environment(loader=PackageLoader("service.web"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["person_name"] = person_name
    environment.filters["dicom_date"] = shown_date
    return environment
