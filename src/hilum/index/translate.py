"""Foreign exceptions made ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import asyncpg

from hilum.kernel.errors import LimitExceeded, Unavailable


@contextlib.contextmanager
def database_errors() -> Iterator[None]:
    """Raise Unavailable for what the database or the way to it does wrong, LimitExceeded for a query too costly.

    The database's own words stay in the cause alone: its messages can quote values of patient attributes.
    """
    try:
        yield
    except asyncpg.QueryCanceledError as error:
        raise LimitExceeded(
            "The query takes too long; narrow it by date, patient or accession number.", code="query-timeout"
        ) from error
    except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError) as error:
        raise Unavailable("The database does not answer.", code="database-away") from error
    except asyncpg.PostgresError as error:
        raise Unavailable(
            "The database refused a statement.", code="database-error", sqlstate=error.sqlstate
        ) from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        raise Unavailable("The database does not answer.", code="database-away") from error
