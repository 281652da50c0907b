"""Where a PostgreSQL server answers and by whom it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from hilum.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """How to connect as one role: either a libpq connection string or the parts of one.

    `host` may be the folder of a Unix socket. `to_json` makes a text for a child process' environment; it carries
    the password and must not be logged. `repr` shows neither password nor connection string.
    """

    dsn: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    database: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def from_dsn(cls, dsn: str) -> DatabaseAddress:
        """Return the address a `postgresql://...` text names; certificates and the like stay in its parameters.

        Raises:
            InvalidInput: the text is no PostgreSQL URI.
        """
        if not dsn.startswith(("postgresql://", "postgres://")):
            raise InvalidInput("A database address begins with postgresql://.", code="bad-dsn")
        return cls(dsn=dsn)

    @classmethod
    def from_json(cls, text: str) -> DatabaseAddress:
        """Return what `to_json` made.

        Raises:
            InvalidInput: the text is something else.
        """
        try:
            return cls(**orjson.loads(text))
        except (orjson.JSONDecodeError, TypeError) as error:
            raise InvalidInput("The database address is not readable.", code="bad-dsn") from error

    def to_json(self) -> str:
        """Return a text another process can make the address of."""
        return orjson.dumps({k: v for k, v in asdict(self).items() if v is not None}).decode()

    def connect_arguments(self) -> Mapping[str, Any]:
        """Return the keyword arguments of `asyncpg.connect`."""
        return {k: v for k, v in asdict(self).items() if v is not None}
