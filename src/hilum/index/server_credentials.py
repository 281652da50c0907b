"""The embedded server's roles and their passwords."""

# ruff: noqa: S608 - the statements are put together from constants

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from hilum.kernel.errors import Unavailable
from hilum.kernel.ids import new_secret

SUPERUSER_ROLE: Final = "postgres"
OWNER_ROLE: Final = "hilum_owner"
APP_ROLE: Final = "hilum_app"


@dataclass(frozen=True, slots=True)
class Credentials:
    """One password per role, made once and kept in a file only we can read."""

    passwords: dict[str, str] = field(repr=False)

    @classmethod
    def keep_in(cls, path: Path) -> Credentials:
        """Return the credentials of the file; makes them when there is none.

        Raises:
            Unavailable: the file is damaged.
        """
        try:
            return cls(orjson.loads(path.read_bytes()))
        except FileNotFoundError:
            pass
        except orjson.JSONDecodeError as error:
            raise Unavailable(f"{path} is damaged; restore it from a backup.", code="database-roles") from error
        passwords = {role: new_secret() for role in (SUPERUSER_ROLE, OWNER_ROLE, APP_ROLE)}
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(passwords))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        return cls(passwords)

    def of(self, role: str) -> str:
        """Return the role's password."""
        return self.passwords[role]

    def scripts(self, database: str) -> list[tuple[str, str]]:
        """Return (database, SQL for psql) that makes the roles and the database `database`; safe to run again.

        The passwords consist of letters, digits, - and _ and need no quoting. `textlike` is declared leakproof:
        row-level security otherwise keeps the trigram index from patterns, since an operator might tell a user of
        rows he may not see; `LIKE` tells nothing of the row it looks at.
        """
        roles = "\n".join(
            f"""
            SELECT 'CREATE ROLE {role} LOGIN' WHERE NOT EXISTS
                (SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec
            ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB PASSWORD '{self.of(role)}';
            """
            for role in (OWNER_ROLE, APP_ROLE)
        )
        create = f"""
            SELECT 'CREATE DATABASE {database} OWNER {OWNER_ROLE}' WHERE NOT EXISTS
                (SELECT FROM pg_database WHERE datname = '{database}') \\gexec
            REVOKE ALL ON DATABASE {database} FROM PUBLIC;
            GRANT CONNECT ON DATABASE {database} TO {APP_ROLE};
            """
        inside = """
            REVOKE CREATE ON SCHEMA public FROM PUBLIC;
            ALTER FUNCTION pg_catalog.textlike(text, text) LEAKPROOF;
            """
        return [("postgres", roles + create), (database, inside)]
