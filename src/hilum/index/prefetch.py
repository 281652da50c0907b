"""Prefetch rules: what a rule asks for stands in one JSON column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import asyncpg
import msgspec

from hilum.archive.prefetch import PrefetchRule
from hilum.index.pool import TenantPool
from hilum.kernel.errors import Conflict, NotFound

_LIST: Final = "SELECT rule_id, rule FROM prefetch_rule WHERE tenant_id = $1 ORDER BY rule_id"
_ADD: Final = "INSERT INTO prefetch_rule (tenant_id, name, rule) VALUES ($1, $2, $3::jsonb) RETURNING rule_id, rule"
_CHANGE: Final = """
UPDATE prefetch_rule SET name = $2, rule = $3::jsonb WHERE tenant_id = $1 AND rule_id = $4 RETURNING rule_id, rule
"""
_REMOVE: Final = "DELETE FROM prefetch_rule WHERE tenant_id = $1 AND rule_id = $2"


class PostgresPrefetch:
    """Implements `hilum.archive.prefetch.PrefetchRules`.

    Args:
        pool: the worker's connections for writing.
    """

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def list(self, tenant_id: int) -> Sequence[PrefetchRule]:
        """Return all rules by id."""
        async with self._pool.use(tenant_id) as connection:
            return [_rule(record) for record in await connection.fetch(_LIST, tenant_id)]

    async def save(self, rule: PrefetchRule) -> PrefetchRule:
        """Keep a new rule (its `rule_id` is 0) or the changed one of that id, and return it as kept.

        Raises:
            Conflict: another rule has the name.
            NotFound: there is no rule of that id.
        """
        values = (rule.tenant_id, rule.name, msgspec.json.encode(rule).decode())
        async with self._pool.use(rule.tenant_id) as connection:
            try:
                if rule.rule_id:
                    record = await connection.fetchrow(_CHANGE, *values, rule.rule_id)
                else:
                    record = await connection.fetchrow(_ADD, *values)
            except asyncpg.UniqueViolationError as error:
                raise Conflict("another prefetch rule has this name", code="rule-exists") from error
        if record is None:
            raise NotFound("there is no such prefetch rule", code="no-such-rule")
        return _rule(record)

    async def remove(self, tenant_id: int, rule_id: int) -> bool:
        """Remove the rule; False when there is none."""
        async with self._pool.use(tenant_id) as connection:
            done = await connection.execute(_REMOVE, tenant_id, rule_id)
        return str(done) != "DELETE 0"


def _rule(record: asyncpg.Record) -> PrefetchRule:
    return replace(msgspec.json.decode(record["rule"], type=PrefetchRule), rule_id=record["rule_id"])
