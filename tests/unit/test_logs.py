"""Logs: every record becomes one JSON line, and no line names a person."""

import json
import logging
import warnings
from collections.abc import Iterator
from io import StringIO

import pytest
import structlog

from service.errors import InputRejected
from service.logs import configure_logging


@pytest.fixture
def stream() -> Iterator[StringIO]:
    handlers, level, show = logging.root.handlers[:], logging.root.level, warnings.showwarning
    written = StringIO()
    configure_logging(format="json", level="INFO", role="worker", stream=written)
    yield written
    logging.root.handlers[:], logging.root.level = handlers, level
    warnings.showwarning = show
    structlog.reset_defaults()


def lines(stream: StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def refuse() -> None:
    try:
        dict[str, str]()["Canary"]
    except KeyError as error:
        raise InputRejected("The data set is cut short") from error


def test_records_of_both_loggers_are_json_with_their_fields(stream: StringIO) -> None:
    logging.getLogger("sonomyo.x").info("instance_stored", extra={"sop_instance_uid": "1.2", "bytes": 5})
    structlog.stdlib.get_logger("sonomyo.y").warning("job_recovered", job_id=7)
    first, second = lines(stream)
    assert (first["event"], first["sop_instance_uid"]) == ("instance_stored", "1.2")
    assert (first["level"], first["role"]) == ("info", "worker")
    assert (second["event"], second["job_id"], second["logger"]) == ("job_recovered", 7, "sonomyo.y")


def test_value_under_a_name_is_refused_and_the_line_says_so(stream: StringIO) -> None:
    logging.getLogger("sonomyo").info("x", extra={"patient_name": "Canary", "detail": {"PATIENT_ID": "Canary", "kept": 1}})
    structlog.stdlib.get_logger("sonomyo").info("y", dataset={"a": "Canary"})
    assert "Canary" not in stream.getvalue()
    assert lines(stream)[0]["refused_keys"] == ["PATIENT_ID", "patient_name"]
    assert lines(stream)[0]["detail"] == {"PATIENT_ID": "<refused>", "kept": 1}


def test_exception_is_told_by_class_and_place_and_our_own_words(stream: StringIO) -> None:
    try:
        refuse()
    except InputRejected:
        logging.getLogger("sonomyo").exception("failed")
    told = str(lines(stream)[0]["exception"])
    assert "Canary" not in stream.getvalue()
    assert "builtins.KeyError" in told
    assert "service.errors.InputRejected: The data set is cut short" in told
    assert "test_logs.py" in told


def test_exception_with_a_context_cycle_ends(stream: StringIO) -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first
    logging.getLogger("sonomyo").error("failed", exc_info=first)
    assert "ValueError" in str(lines(stream)[0]["exception"])


def test_warning_is_told_without_its_words(stream: StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging(format="json", level="INFO", role="worker", stream=stream)
        warnings.warn("Invalid value for VR PN: 'Canary'", UserWarning, stacklevel=1)
    assert "Canary" not in stream.getvalue()
    assert lines(stream)[-1]["category"] == "UserWarning"


def test_third_parties_are_silent_below_warning(stream: StringIO) -> None:
    logging.getLogger("httpx2").info("HTTP Request: GET http://x/?patient_id=Canary")
    logging.getLogger("pynetdicom.acse").info("Canary")
    assert stream.getvalue() == ""


def test_console_is_for_people(stream: StringIO) -> None:
    written = StringIO()
    configure_logging(format="console", level="INFO", role="api", stream=written)
    try:
        refuse()
    except InputRejected:
        logging.getLogger("sonomyo").exception("failed", extra={"patient_id": "Canary"})
    assert "failed" in written.getvalue()
    assert "KeyError" in written.getvalue()
    assert "Canary" not in written.getvalue()
    assert stream.getvalue() == ""
