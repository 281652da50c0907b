"""Workitem events reach every subscriber: whichever worker it is at, and after the archive was away."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack

from support.running import RunningHilum, running_hilum
from support.workitem_peer import At, workitem_peer
from support.workitems import workitem_attributes

GLOBAL = "1.2.840.10008.5.1.4.34.5"
TITLES = [f"WATCHER{number}" for number in range(6)]


def at(hilum: RunningHilum) -> At:
    return At(hilum.dicom_port, hilum.ae_title)


def test_subscribers_at_all_workers_are_told_and_nothing_is_lost_over_a_crash() -> None:
    with running_hilum("--workers", "2") as hilum:
        asyncio.run(_all_are_told(hilum))
        asyncio.run(_create_while_nobody_listens(hilum))
        hilum.stop(signal.SIGKILL)
        hilum.start()
        asyncio.run(_told_after_the_crash(hilum))


async def _all_are_told(hilum: RunningHilum) -> None:
    async with AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(workitem_peer(at(hilum), title, takes_events=True)) for title in TITLES
        ]
        for peer, title in zip(peers, TITLES, strict=True):
            assert await peer.act(3, GLOBAL, ReceivingAE=title, DeletionLock="FALSE") == 0
        creator = await stack.enter_async_context(workitem_peer(at(hilum)))
        assert await creator.create(workitem_attributes(), "1.2.1") == 0
        for peer in peers:
            request, _ = await peer.event()
            assert (request.event_type_id, request.affected_sop_instance_uid) == (1, "1.2.1")


async def _create_while_nobody_listens(hilum: RunningHilum) -> None:
    async with workitem_peer(at(hilum)) as creator:
        assert await creator.create(workitem_attributes(), "1.2.2") == 0
        assert await creator.act(2, "1.2.1") == 0


async def _told_after_the_crash(hilum: RunningHilum) -> None:
    async with workitem_peer(at(hilum), "WATCHER3", takes_events=True) as peer:
        events = [await peer.event() for _ in range(4)]
    told = [(request.affected_sop_instance_uid, request.event_type_id) for request, _ in events]
    assert told == [("1.2.2", 1), ("1.2.1", 1), ("1.2.1", 1), (GLOBAL, 4)]
