"""Logs that cannot carry patient data."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator

import orjson
import pytest

from hilum.kernel.errors import InvalidInput
from hilum.kernel.phi import Phi
from hilum.observe.logs import configure_logs, get_logger


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logs(level="info", style="json", stream=stream)
    yield stream
    logging.captureWarnings(False)
    logging.getLogger().handlers.clear()


def test_field_that_is_not_on_the_list_is_dropped_and_named(lines: io.StringIO) -> None:
    get_logger("test").info("stored", patient_name="Müller^Eva", count=3)
    line = orjson.loads(lines.getvalue())
    assert line["count"] == 3
    assert "Müller" not in lines.getvalue()
    assert "patient_name" in line["limit"]


def test_wrapped_value_is_not_shown(lines: io.StringIO) -> None:
    get_logger("test").info("stored", reason=Phi("Müller^Eva"))
    assert "Müller" not in lines.getvalue()
    assert "<phi>" in lines.getvalue()


def test_our_errors_are_told_by_code_and_message(lines: io.StringIO) -> None:
    get_logger("test").error("failed", exc=InvalidInput("StudyInstanceUID is missing", code="missing-attribute"))
    line = orjson.loads(lines.getvalue())
    assert (line["error_code"], line["error"]) == ("missing-attribute", "StudyInstanceUID is missing")


def test_foreign_errors_are_told_by_type_and_place_only(lines: io.StringIO) -> None:
    try:
        raise ValueError("cannot parse Müller^Eva")
    except ValueError as error:
        get_logger("test").error("failed", exc=error)
    assert "ValueError at test_foreign_errors" in orjson.loads(lines.getvalue())["exception"]
    assert "Müller" not in lines.getvalue()


def test_lines_and_warnings_of_libraries_show_their_origin_only(lines: io.StringIO) -> None:
    logging.getLogger("somelibrary").warning("Invalid value 'Müller^Eva'")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("Invalid value 'Müller^Eva'", UserWarning, stacklevel=1)
    shown = [orjson.loads(line) for line in lines.getvalue().splitlines()]
    assert [line["room"] for line in shown] == ["somelibrary", "py.warnings"]
    assert "Müller" not in lines.getvalue()


def test_complaints_of_a_library_that_are_alike_are_counted_not_repeated(lines: io.StringIO) -> None:
    def complain(created: float, line: int = 1, error: Exception | None = None) -> None:
        record = logging.LogRecord(
            "uvicorn.error", logging.WARNING, "protocol.py", line, "Invalid HTTP request received.", None,
            (type(error), error, None) if error else None,
        )  # fmt: skip
        record.created = created
        logging.getLogger("uvicorn.error").handle(record)

    for second in range(1000, 1070):
        complain(second)
    complain(1069, line=2)
    complain(1069, error=OSError())
    complain(1069, error=OSError())
    shown = [orjson.loads(line) for line in lines.getvalue().splitlines()]
    assert [(line["reason"], line["count"], line.get("exception")) for line in shown] == [
        ("protocol:1", 1, None),
        ("protocol:1", 60, None),
        ("protocol:2", 1, None),
        ("protocol:1", 1, "OSError"),
    ]


def test_logger_made_before_the_configuration_is_guarded_too() -> None:
    early = get_logger("early")
    stream = io.StringIO()
    configure_logs(level="info", style="json", stream=stream)
    early.info("stored", patient_name="Müller^Eva")
    logging.captureWarnings(False)
    logging.getLogger().handlers.clear()
    assert "Müller" not in stream.getvalue()
    assert orjson.loads(stream.getvalue())["room"] == "early"
