"""Searches that stream their results: batches, an early end, and what the database does about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import asyncpg
import pytest

from hilum.archive.model import DuplicatePolicy
from hilum.archive.query import Level, Query
from hilum.dicom.dictionary import tag_of
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.pool import Connection
from hilum.index.postgres import PostgresIndex
from hilum.kernel.limits import FIND_BATCH_RESULTS
from hilum.services.search import SearchService
from support.database import draft
from support.finding import FindingPeer, close, find_archive

STUDIES = 3 * FIND_BATCH_RESULTS + 7
QUERY = Query(Level.STUDY, include=frozenset({(tag_of("StudyInstanceUID"),)}), has_defaults=False, limit=10_000)

PROCESSES = "SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity WHERE application_name = 'hilum'"


@pytest.fixture
async def filled(index: PostgresIndex, tenant_id: int) -> None:
    drafts = [draft(f"1.9.{n}", f"1.9.{n}.1", f"1.9.{n}.1.1", PatientID=f"P{n}") for n in range(STUDIES)]
    for start in range(0, STUDIES, 200):
        await index.ingest(tenant_id, drafts[start : start + 200], DuplicatePolicy.REPLACE)


@pytest.fixture
async def owner(database: EmbeddedPostgres) -> AsyncIterator[Connection]:
    """A connection that may lock tables."""
    connection = await asyncpg.connect(**database.owner_address().connect_arguments())
    yield connection
    await connection.close()


@pytest.fixture
async def watcher(database: EmbeddedPostgres) -> AsyncIterator[Connection]:
    """A connection that sees what the connections of the index do: it has their role."""
    connection = await asyncpg.connect(**database.app_address().connect_arguments())
    yield connection
    await connection.close()


async def states(watcher: Connection) -> set[str]:
    rows = await watcher.fetch("SELECT state FROM pg_stat_activity WHERE application_name = 'hilum'")
    return {row["state"] for row in rows}


async def until(watcher: Connection, condition: Callable[[set[str]], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition(await states(watcher)):  # noqa: ASYNC110 - nobody tells what the server is doing
            await asyncio.sleep(0.05)


async def at_rest(watcher: Connection) -> None:
    """Wait until no connection of the index works or is in a transaction."""
    await until(watcher, lambda found: found <= {"idle"})


@pytest.mark.usefixtures("filled")
class TestStreams:
    """PS3.4 §C.4.1.1.4."""

    async def test_batches_hold_together_what_one_search_finds(self, index: PostgresIndex, tenant_id: int) -> None:
        async with aclosing(index.search_batches(tenant_id, QUERY)) as found:
            batches = [batch async for batch in found]
        # The first one is there soonest.
        assert [len(batch) for batch in batches] == [50] + [FIND_BATCH_RESULTS] * 2 + [FIND_BATCH_RESULTS - 43]
        uids = [result[tag_of("StudyInstanceUID")]["Value"][0] for batch in batches for result in batch]
        assert len(set(uids)) == STUDIES
        assert {len(result) for batch in batches for result in batch} == {1}

    async def test_closing_a_search_ends_its_transaction_and_keeps_the_connection(
        self, index: PostgresIndex, tenant_id: int, watcher: Connection
    ) -> None:
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hilum'"
        async with aclosing(index.search_batches(tenant_id, QUERY)) as found:
            await anext(found)
            # It is busy with the next ones, or has them ready.
            assert await states(watcher) & {"active", "idle in transaction"}
            before = await watcher.fetchval(count)
        assert await states(watcher) == {"idle"}
        assert await watcher.fetchval(count) == before

    async def test_a_cancel_stops_a_statement_that_is_running(
        self, index: PostgresIndex, tenant_id: int, owner: Connection, watcher: Connection
    ) -> None:
        async with find_archive(SearchService(index), tenant_id=tenant_id) as port:
            peer = FindingPeer()
            await peer.connect(port)
            async with owner.transaction():
                await owner.execute("LOCK TABLE study IN ACCESS EXCLUSIVE MODE")
                await peer.begin(peer.identifier(LEVEL="STUDY", StudyInstanceUID=""))
                await until(watcher, lambda found: "active" in found)
                working = await watcher.fetchval(PROCESSES)
                peer.cancel()
                found = await peer.final()
                assert (found.status, found.answers) == (0xFE00, [])
                await at_rest(watcher)
                # It is as good as before, and is used again.
                assert await watcher.fetchval(PROCESSES) == working
            found = await peer.ask(LEVEL="STUDY", StudyInstanceUID="")
            assert (found.status, len(found.answers)) == (0x0000, STUDIES)
            await close(peer)

    async def test_a_connection_lost_midway_leaves_nothing_behind(
        self, index: PostgresIndex, tenant_id: int, watcher: Connection
    ) -> None:
        async with find_archive(SearchService(index), tenant_id=tenant_id) as port:
            peer = FindingPeer()
            await peer.connect(port)
            peer.reading = asyncio.Event()
            await peer.begin(peer.identifier(LEVEL="STUDY", StudyInstanceUID=""))
            await peer.first.wait()
            peer.association.connection.close()
            await at_rest(watcher)
