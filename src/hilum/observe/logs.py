"""Structured logs as JSON lines (or for people at a terminal), with a guard against patient data.

Names of fields are an allow-list: what is not on it is dropped and its name noted, so a careless call cannot leak a
value. A test holds the list against the calls in the source.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import orjson
import structlog

from hilum.kernel.errors import HilumError
from hilum.kernel.phi import Phi

ALLOWED_FIELDS = frozenset(
    {
        # of every line
        "event", "level", "timestamp", "room", "worker", "exception", "error_code", "error",
        # who and where; never a patient
        "tenant", "user", "peer", "port", "host", "calling_ae_title", "called_ae_title", "association", "origin",
        # what
        "sop_class_uid", "sop_instance_uid", "study_instance_uid", "series_instance_uid", "transfer_syntax_uid",
        "message_id", "status", "damage", "attribute", "tag", "limit", "reason", "result", "source",
        # how much and how long
        "count", "size_bytes", "duration_s", "attempt", "delay_s", "pid", "exit_code", "signal", "version",
        # jobs and forwarding
        "job", "kind", "lane", "destination", "rule",
        # HTTP
        "method", "route", "http_status",
        # operation
        "path", "database", "setting", "state", "workers", "http_port", "dicom_port", "ae_title",
    }
)  # fmt: skip

# How often a library's complaint is repeated.
_FOREIGN_INTERVAL_S = 60.0

EventDict = MutableMapping[str, Any]


def _guard(_logger: object, _method: str, fields: EventDict) -> EventDict:
    dropped = [name for name in fields if name not in ALLOWED_FIELDS and not name.startswith("_")]
    for name in dropped:
        del fields[name]
    for name, value in fields.items():
        if isinstance(value, Phi):
            fields[name] = repr(value)
    if dropped:
        fields["limit"] = f"dropped fields: {', '.join(sorted(dropped))}"
    return fields


def _describe_error(_logger: object, _method: str, fields: EventDict) -> EventDict:
    """Name our own errors by code and message; of foreign ones log the type alone, for their text may quote data."""
    error = fields.pop("exc", None)
    if isinstance(error, HilumError):
        fields["error_code"] = error.reason_code
        fields["error"] = error.message
    elif isinstance(error, BaseException):
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        where = f" at {frame.tb_frame.f_code.co_qualname}:{frame.tb_lineno}" if frame else ""
        fields["exception"] = f"{type(error).__name__}{where}"
    return fields


def _render_json(_logger: object, _method: str, fields: EventDict) -> str:
    return orjson.dumps(dict(fields), default=repr).decode()


def configure_logs(*, level: str = "info", style: str = "auto", stream: TextIO | None = None) -> None:
    """Send structured lines to `stream` (default: standard error).

    Args:
        level: "debug", "info", "warning" or "error".
        style: "json", "console", or "auto": console at a terminal, otherwise JSON lines.
        stream: where lines go.
    """
    out = stream or sys.stderr
    console = style == "console" or (style == "auto" and out.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer(colors=out.isatty()) if console else _render_json
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _describe_error,
            _guard,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    # Libraries log and warn through the standard modules; their words may quote values, so only their origin passes.
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [_ForeignLines()]
    root.setLevel(logging.WARNING)


class _ForeignLines(logging.Handler):
    """Passes on that a library complained, and the kind of its error, not what it said.

    Whoever sends nonsense can make a library complain with every request: of lines alike one a minute is written, and
    `count` says for how many it stands, those left out since the one before among them.
    """

    def __init__(self) -> None:
        super().__init__()
        # When a line of each kind was last written, and how many have come since. As many as places that log.
        self._kinds: dict[tuple[str, str, str], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        place = f"{record.module}:{record.lineno}"
        kind = (record.name, place, type(error).__name__)
        written, left_out = self._kinds.get(kind, (-math.inf, 0))
        if 0 <= record.created - written < _FOREIGN_INTERVAL_S:  # a clock set back is no reason to be silent
            self._kinds[kind] = (written, left_out + 1)
            return
        self._kinds[kind] = (record.created, 0)
        get_logger(record.name).warning("library warning", exc=error, reason=place, count=left_out + 1)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger for one room; `name` says which. It takes the configuration there is at each call, so it may be
    made before `configure_logs`.
    """
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(room=name)
    return logger
