"""Peers with Nagle's algorithm get TCP's acknowledgement at once while they still have to send (RFC 896, RFC 1122)."""

from __future__ import annotations

import asyncio

import pytest

from hilum.dimse.fragments import fragment_command, fragment_data_set
from hilum.net.connection import Connection
from support.dimse import Peer, running_archive, store_request, until


@pytest.fixture
def acknowledged(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """Every connection that asked for an acknowledgement, as often as it did."""
    asked: list[Connection] = []
    monkeypatch.setattr(Connection, "_acknowledge_at_once", lambda connection: asked.append(connection))
    return asked


async def test_half_a_pdu_is_acknowledged_at_once(acknowledged: list[Connection]) -> None:
    async with running_archive() as archive:
        peer = await Peer.associated(archive.port)
        acknowledged.clear()
        peer.writer.write(b"\x04\x00\x00\x00")
        await until(lambda: acknowledged)
        await peer.close()


async def test_message_that_has_to_go_on_is_acknowledged_at_once_and_a_whole_one_by_its_answer(
    acknowledged: list[Connection],
) -> None:
    async with running_archive() as archive:
        peer = await Peer.associated(archive.port)
        gate = archive.store.commit_gate = asyncio.Event()
        acknowledged.clear()
        peer.send(*fragment_command(3, store_request(), 16000))
        await until(lambda: acknowledged)
        peer.send(*fragment_data_set(3, b"\x08\x00", 16000, is_end=False))
        await until(lambda: len(acknowledged) >= 2)
        count = len(acknowledged)
        peer.send(*fragment_data_set(3, b"\x16\x00", 16000, is_end=True))
        await until(lambda: archive.store.writes == 2)
        assert len(acknowledged) == count
        gate.set()
        await peer.response()
        await peer.release()
