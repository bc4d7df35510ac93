"""Logging: structlog joined to stdlib logging, one line an event, and nobody's name in it.

What an exception says may hold a value from a data set (psycopg names the offending key), so a traceback is written with the
places and the classes only; the words of an error that we raised ourselves are kept, for they hold none.
"""

import logging
import sys
import traceback
import warnings
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from service.errors import SonomyoError

#: Keys that may name a person; their value is replaced, and the line says that it was.
REFUSED_KEYS = frozenset(
    {
        "patient", "patient_name", "patient_id", "issuer_of_patient_id", "other_patient_ids", "patient_birth_date", "patient_sex",
        "birth_date", "accession_number", "referring_physician_name", "operators_name", "person_name", "study_description",
        "series_description", "report", "findings", "attributes", "dataset", "data_set", "identity", "body", "query",
        "authorization", "cookie", "token", "key", "password", "secret",
    }
)  # fmt: skip
REFUSED = "<refused>"
#: Third-party loggers below WARNING are noise, and some print what they handle: httpx2 whole addresses, queries included.
QUIET_LOGGERS = (
    "pynetdicom",
    "pydicom",
    "procrastinate",
    "sqlalchemy",
    "alembic",
    "uvicorn",
    "python_multipart",
    "PIL",
    "asyncio",
    "highdicom",
    "httpx2",
    "httpcore2",
)
_FRAMES = 25
_CAUSES = 10

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def configure_logging(*, format: Literal["auto", "console", "json"], level: str, role: str, stream: TextIO | None = None) -> None:  # noqa: A002 - the setting's name
    """Send every record of this process to `stream` (standard error): JSON, or coloured lines on a terminal."""
    stream = stream or sys.stderr
    console = format == "console" or (format == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_role(role),
        describe_exception,
        refuse_names,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(default=str)
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    warnings.showwarning = _log_warning
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def refuse_names(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Replace the values of keys that may name a person, however deep."""
    refused: set[str] = set()
    cleaned = _clean(event, refused)
    if refused:
        cleaned["refused_keys"] = sorted(refused)
    return cleaned


def describe_exception(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Turn `exc_info` into classes and places, without the words of errors that are not ours."""
    info = _exception_info(event.pop("exc_info", None))
    if info is not None:
        event["exception"] = _describe(info[1])
    return event


def _clean(mapping: MutableMapping[str, Any] | Mapping[str, Any], refused: set[str]) -> dict[str, Any]:
    cleaned: dict[str, Any] = {}
    for key, value in mapping.items():
        if str(key).lower() in REFUSED_KEYS:
            refused.add(str(key))
            cleaned[key] = REFUSED
        else:
            cleaned[key] = _clean(value, refused) if isinstance(value, dict) else value
    return cleaned


def _exception_info(given: object) -> ExceptionInfo | None:
    """What `exc_info` may be (logging's documentation): True, an exception, or a triple."""
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    found = given if isinstance(given, tuple) else sys.exc_info() if given else (None, None, None)
    return None if found[1] is None else (type(found[1]), found[1], found[1].__traceback__)


def _describe(error: BaseException, told: frozenset[int] = frozenset()) -> str:
    """The chain of causes, the first cause first as Python prints it; one that leads back to itself is told once."""
    lines: list[str] = []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and id(cause) not in told and len(told) < _CAUSES:
        lines += [_describe(cause, told | {id(error)}), "caused:"]
    lines += [
        f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    ]
    words = f": {error}" if isinstance(error, SonomyoError) else ""
    lines.append(f"{type(error).__module__}.{type(error).__qualname__}{words}")
    return "\n".join(lines)


def _name_role(role: str) -> Processor:
    def add(_logger: object, _method: str, event: EventDict) -> EventDict:
        event["role"] = role
        return event

    return add


def _log_warning(
    message: Warning | str,  # noqa: ARG001 - pydicom's warnings quote the value that they complain of
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - the signature of warnings.showwarning
    line: str | None = None,  # noqa: ARG001 - the signature of warnings.showwarning
) -> None:
    logging.getLogger("py.warnings").warning("warning", extra={"category": category.__name__, "place": f"{filename}:{lineno}"})
