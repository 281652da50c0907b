"""Reports as log lines and metrics."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog
from prometheus_client import REGISTRY

from hilum.kernel.errors import LimitExceeded
from hilum.net.reports import Outcome, Report
from hilum.observe.logs import configure_logs
from hilum.scp.reports import observe_associations


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs(level="debug", style="json", stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def report(outcome: Outcome, *, was_accepted: bool = True, error: BaseException | None = None) -> Report:
    return Report(outcome, 7, "127.0.0.1", "CT_1", "HILUM", 1000, 1.23456, was_accepted, "", error)


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_associations_are_counted_while_they_are_open_and_by_how_they_ended(lines: io.StringIO) -> None:
    before = metric("hilum_open_associations")
    released = metric("hilum_associations_total", result="released")
    observe_associations(report(Outcome.ACCEPTED, was_accepted=False))
    assert metric("hilum_open_associations") == before + 1
    observe_associations(report(Outcome.FAILED, error=ZeroDivisionError()))
    assert metric("hilum_open_associations") == before + 1
    observe_associations(report(Outcome.RELEASED))
    assert metric("hilum_open_associations") == before
    observe_associations(report(Outcome.LOST, was_accepted=False))
    assert metric("hilum_open_associations") == before
    assert metric("hilum_associations_total", result="released") == released + 1


def test_a_line_says_who_how_and_how_much_and_drops_nothing(lines: io.StringIO) -> None:
    observe_associations(report(Outcome.ABORTED, error=LimitExceeded("too long", code="idle-timeout")))
    line = orjson.loads(lines.getvalue())
    assert (line["level"], line["event"]) == ("info", "association aborted")
    assert (line["peer"], line["calling_ae_title"], line["association"]) == ("127.0.0.1", "CT_1", 7)
    assert (line["error_code"], line["size_bytes"], line["duration_s"]) == ("idle-timeout", 1000, 1.235)
    assert "limit" not in line


def test_a_fault_of_our_own_is_an_error_whose_words_are_not_repeated(lines: io.StringIO) -> None:
    observe_associations(report(Outcome.ABORTED, error=ZeroDivisionError("Doe^Jane")))
    line = orjson.loads(lines.getvalue())
    assert line["level"] == "error"
    assert "ZeroDivisionError" in line["exception"]
    assert "Doe" not in lines.getvalue()
