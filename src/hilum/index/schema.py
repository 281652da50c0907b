"""Which schema this release expects, told without loading what changes one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import asyncpg

from hilum.index.address import DatabaseAddress
from hilum.index.translate import database_errors

_VERSIONS: Final = Path(__file__).with_name("migrations") / "versions"
_REVISION: Final = re.compile(r'^(revision|down_revision)\b[^=\n]*= "([^"]+)"$', re.MULTILINE)
# That the serving role may use every table says that the last step was seen through to its end.
_READY: Final = """
SELECT coalesce(bool_and(has_table_privilege($1, oid, 'SELECT')), false)
FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
"""


async def bring_up_to_date(owner_address: DatabaseAddress, serving_role: str) -> None:
    """The database has the schema of this release and the serving role may use it; see `migrate`.

    Raises:
        Unavailable: the database does not answer or refuses.
        InvalidInput: the serving role's name is none.
    """
    if not await _is_ready(owner_address, serving_role):
        # Alembic takes longer to load than all that a verb of the command line does with a database that is ready.
        from hilum.index.migrate import migrate

        await migrate(owner_address, serving_role)


def head() -> str:
    """Return the last of the schema's steps: the one no other follows."""
    found = [match for path in _VERSIONS.glob("step_*.py") for match in _REVISION.findall(path.read_text("utf-8"))]
    (last,) = {name for kind, name in found if kind == "revision"} - {
        name for kind, name in found if kind == "down_revision"
    }
    return str(last)


async def _is_ready(address: DatabaseAddress, serving_role: str) -> bool:
    with database_errors():
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(**address.connect_arguments())
        try:
            if await connection.fetchval("SELECT version_num FROM alembic_version") != head():
                return False
            return bool(await connection.fetchval(_READY, serving_role))
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedObjectError, asyncpg.InsufficientPrivilegeError):
            return False  # an empty database, or an unknown role, of which `migrate` will tell
        finally:
            await connection.close()
