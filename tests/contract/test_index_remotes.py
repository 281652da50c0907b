"""`Remotes` on PostgreSQL, and that a change made by one process is known to all at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import asyncpg
import pytest

from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import PostgresIndex, open_index
from hilum.kernel.errors import Conflict, NotFound
from hilum.services.remotes import RemoteService
from support.database import new_tenant


def remote(tenant_id: int, ae_title: str = "CT1", **fields: object) -> RemoteAe:
    return replace(RemoteAe(0, tenant_id, ae_title), **fields)  # type: ignore[arg-type]


FULL = {
    "host": "ct1.example.org",
    "port": 104,
    "network": "192.0.2.0/24",
    "uses_tls": True,
    "certificate": "ab" * 32,
    "character_set": "ISO_IR 192",
    "transfer_syntaxes": ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2"),
    "may_ask": frozenset({DimseUse.ECHO, DimseUse.STORE}),
    "may_be_asked": frozenset[DimseUse](),
    "site": "North",
    "description": "scanner in room 1",
    "max_associations": 3,
}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


async def until_found(service: RemoteService, tenant_id: int, wanted: RemoteAe | None) -> None:
    async with asyncio.timeout(5):
        while await service.find(tenant_id, "CT1") != wanted:  # noqa: ASYNC110 - what is tested is that it changes
            await asyncio.sleep(0)


@pytest.fixture
async def other_index(database: EmbeddedPostgres) -> AsyncIterator[PostgresIndex]:
    """The index as another worker has it open."""
    async with open_index(database.app_address()) as opened:
        yield opened


@pytest.fixture
async def service(index: PostgresIndex) -> RemoteService:
    """The service of one worker, which hears of changes."""
    service = RemoteService(index.remotes, index.notices)
    await until(lambda: index.notices.is_listening)
    return service


async def test_an_entry_is_kept_with_all_its_fields(index: PostgresIndex, tenant_id: int) -> None:
    saved = await index.remotes.save(remote(tenant_id, **FULL))
    assert saved.remote_id > 0
    assert replace(saved, remote_id=0) == remote(tenant_id, **FULL)
    assert await index.remotes.find(tenant_id, "CT1") == saved


async def test_an_entry_is_changed_under_its_id_even_in_its_title(index: PostgresIndex, tenant_id: int) -> None:
    saved = await index.remotes.save(remote(tenant_id))
    changed = await index.remotes.save(replace(saved, ae_title="CT2", port=11112, host="192.0.2.4"))
    assert changed == replace(saved, ae_title="CT2", port=11112, host="192.0.2.4")
    assert await index.remotes.find(tenant_id, "CT1") is None
    assert await index.remotes.list(tenant_id) == [changed]


async def test_a_title_is_registered_once_in_a_tenant(
    index: PostgresIndex, tenant_id: int, database: EmbeddedPostgres
) -> None:
    await index.remotes.save(remote(tenant_id))
    with pytest.raises(Conflict, match="CT1 is registered already"):
        await index.remotes.save(remote(tenant_id))
    second = await index.remotes.save(remote(tenant_id, "CT2"))
    with pytest.raises(Conflict):
        await index.remotes.save(replace(second, ae_title="CT1"))
    other = await new_tenant(database.app_address())
    theirs = await index.remotes.save(remote(other, description="of another tenant"))
    assert await index.remotes.find(other, "CT1") == theirs
    assert len(await index.remotes.list(tenant_id)) == 2


async def test_an_entry_that_is_gone_or_of_another_tenant_is_not_changed(
    index: PostgresIndex, tenant_id: int, database: EmbeddedPostgres
) -> None:
    saved = await index.remotes.save(remote(tenant_id))
    other = await new_tenant(database.app_address())
    with pytest.raises(NotFound):
        await index.remotes.save(replace(saved, tenant_id=other))
    assert not await index.remotes.remove(other, "CT1")
    assert await index.remotes.remove(tenant_id, "CT1")
    assert not await index.remotes.remove(tenant_id, "CT1")
    with pytest.raises(NotFound):
        await index.remotes.save(saved)


async def test_the_rows_of_another_tenant_are_not_seen(
    index: PostgresIndex, tenant_id: int, database: EmbeddedPostgres
) -> None:
    await index.remotes.save(remote(tenant_id))
    connection = await asyncpg.connect(**database.app_address().connect_arguments())
    try:
        assert await connection.fetchval("SELECT count(*) FROM remote_ae") == 0
    finally:
        await connection.close()


async def test_a_change_made_by_another_process_is_known_at_once(
    service: RemoteService, other_index: PostgresIndex, tenant_id: int
) -> None:
    assert await service.find(tenant_id, "CT1") is None
    saved = await other_index.remotes.save(remote(tenant_id))
    await until_found(service, tenant_id, saved)
    changed = await other_index.remotes.save(replace(saved, site="South"))
    await until_found(service, tenant_id, changed)
    await other_index.remotes.remove(tenant_id, "CT1")
    await until_found(service, tenant_id, None)


async def test_what_this_process_changes_is_known_in_the_next_statement(service: RemoteService, tenant_id: int) -> None:
    assert await service.find(tenant_id, "CT1") is None
    saved = await service.save(remote(tenant_id))
    assert await service.find(tenant_id, "CT1") == saved
    assert await service.remove(tenant_id, "CT1")
    assert await service.find(tenant_id, "CT1") is None


async def test_entries_are_remembered_while_notices_are_heard(
    service: RemoteService, index: PostgresIndex, tenant_id: int
) -> None:
    saved = await service.save(remote(tenant_id))
    await service.find(tenant_id, "CT1")
    await asyncio.sleep(0.2)  # the notice of our own change
    await service.find(tenant_id, "CT1")
    await index._writing.close()  # from here on the database would not answer
    assert await service.find(tenant_id, "CT1") == saved


async def test_changes_made_while_the_listening_connection_was_lost_are_known(
    service: RemoteService, index: PostgresIndex, other_index: PostgresIndex, tenant_id: int, database: EmbeddedPostgres
) -> None:
    saved = await other_index.remotes.save(remote(tenant_id))
    await service.find(tenant_id, "CT1")
    assert index.notices._connection is not None
    lost = index.notices._connection.get_server_pid()
    killer = await asyncpg.connect(**database.app_address().connect_arguments())
    try:
        await killer.execute("SELECT pg_terminate_backend($1)", lost)
        await until(lambda: not index.notices.is_listening)
        changed = await other_index.remotes.save(replace(saved, site="South"))
        assert await service.find(tenant_id, "CT1") == changed
        await until(lambda: index.notices.is_listening)
        assert await service.find(tenant_id, "CT1") == changed
        again = await other_index.remotes.save(replace(saved, site="West"))
        await until_found(service, tenant_id, again)
    finally:
        await killer.close()
