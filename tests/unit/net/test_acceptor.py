"""Associations on real sockets: bounds, timeouts, hostile peers, draining."""

from __future__ import annotations

import asyncio
import gc
import socket
import tracemalloc

import pytest

from hilum.dimse.fragments import fragment_command, fragment_data_set
from hilum.dimse.messages import CEchoRequest, CEchoResponse, CStoreResponse
from hilum.kernel.errors import Unavailable
from hilum.net.acceptor import Acceptor
from hilum.net.connection import Timeouts
from hilum.net.reports import Outcome, observe_nothing
from hilum.scp.service import ArchiveScp
from hilum.ul.core import AssociationCore, Role
from hilum.ul.primitives import (
    NEED_DATA,
    Abort,
    AbortReason,
    AssociateReject,
    ConnectionClosed,
    RejectReason,
    RejectResult,
    ReleaseRequest,
    ReleaseResponse,
)
from support.dimse import (
    VERIFICATION,
    MemoryStore,
    Peer,
    archive_scp,
    association_request,
    running_archive,
    store_request,
    until,
)

ECHO = CEchoRequest(message_id=1, affected_sop_class_uid=VERIFICATION)
SHORT = Timeouts(artim_s=0.2, idle_s=0.2, progress_s=0.2, write_s=0.2)


def error_codes(reports: list) -> list[str]:  # type: ignore[type-arg]
    return [getattr(each.error, "reason_code", "") for each in reports if each.error is not None]


class TestBounds:
    """As many as the limits say, and not more."""

    async def test_an_association_above_the_bound_is_rejected_for_the_moment(self) -> None:
        async with running_archive(max_associations=2) as archive:
            held = [await Peer.associated(archive.port) for _ in range(2)]
            peer = await Peer.connected(archive.port)
            peer.send(association_request())
            rejection = AssociateReject(RejectResult.TRANSIENT, RejectReason.LOCAL_LIMIT_EXCEEDED)
            assert await peer.event() == rejection
            await peer.close()
            await until(lambda: archive.acceptor.connection_count == 2)
            await held.pop().release()
            again = await Peer.associated(archive.port)
            for each in (*held, again):
                await each.release()

    async def test_connections_far_above_the_bound_are_closed_unheard(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("hilum.net.acceptor.SPARE_CONNECTIONS", 1)
        async with running_archive(max_associations=1) as archive:
            held = [await Peer.connected(archive.port) for _ in range(2)]
            await until(lambda: archive.acceptor.connection_count == 2)
            above = await Peer.connected(archive.port)
            with pytest.raises(ConnectionError):
                if await above.reader.read(1) == b"":
                    raise ConnectionResetError
            assert archive.acceptor.connection_count == 2
            for each in (*held, above):
                await each.close()

    async def test_idle_associations_hold_little_memory(self) -> None:
        async with running_archive(max_associations=300) as archive:
            warm = await Peer.associated(archive.port)
            gc.collect()
            tracemalloc.start()
            try:
                peers = []
                for _ in range(200):
                    # The other end in the same process would be counted: a bare socket holds next to nothing.
                    peer = await Peer.associated(archive.port)
                    sock = peer.writer.transport.get_extra_info("socket")
                    peers.append(socket.socket(fileno=socket.dup(sock.fileno())))
                    peer.writer.transport.abort()
                await until(lambda: archive.acceptor.connection_count == 201)
                gc.collect()
                held, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert held / 200 < 100_000
            for each in peers:
                each.close()
            await warm.close()

    async def test_a_core_keeps_nothing_of_what_it_has_read_so_that_the_buffer_can_be_shared(self) -> None:
        """`ReceiveBuffer` is written to again once the core asks for more data."""
        acceptor = AssociationCore(Role.ACCEPTOR, now=0.0)
        requestor = AssociationCore(Role.REQUESTOR, now=0.0)
        requestor.send(association_request(), 0.0)
        stream = b"".join(requestor.data_to_send())
        buffer = bytearray(7)
        events = []
        for start in range(0, len(stream), len(buffer)):
            piece = stream[start : start + len(buffer)]
            buffer[: len(piece)] = piece
            acceptor.receive_data(memoryview(buffer)[: len(piece)], 0.0)
            while (event := acceptor.next_event()) is not NEED_DATA:
                events.append(event)
            buffer[:] = b"\xff" * len(buffer)
        assert events == [association_request()]


class TestTimeouts:
    """Silence is borne for as long as the limits say."""

    async def test_a_connection_that_asks_for_nothing_is_closed_by_artim(self) -> None:
        async with running_archive(timeouts=SHORT) as archive:
            peer = await Peer.connected(archive.port)
            assert await peer.reader.read() == b""
            await peer.close()
            await until(lambda: archive.outcomes == [Outcome.ABORTED])
            assert archive.reports[0].reason == "artim"

    async def test_half_an_association_request_is_closed_by_artim(self) -> None:
        async with running_archive(timeouts=SHORT) as archive:
            peer = await Peer.connected(archive.port)
            peer.writer.write(b"\x01\x00\x00\x00\x01\x00half")
            assert await peer.reader.read() == b""
            await peer.close()

    async def test_an_idle_association_is_aborted(self) -> None:
        async with running_archive(timeouts=SHORT) as archive:
            peer = await Peer.associated(archive.port)
            assert isinstance(await peer.event(), Abort)
            await peer.close()
            await until(lambda: archive.outcomes == [Outcome.ACCEPTED, Outcome.ABORTED])
            assert error_codes(archive.reports) == ["idle-timeout"]

    async def test_a_peer_that_waits_for_its_answer_is_not_idle(self) -> None:
        async with running_archive(timeouts=SHORT) as archive:
            archive.store.commit_gate = asyncio.Event()
            peer = await Peer.associated(archive.port)
            peer.send_message(3, store_request(), b"ab")
            await asyncio.sleep(1.0)
            archive.store.commit_gate.set()
            assert isinstance(await peer.response(), CStoreResponse)
            await peer.close()

    async def test_a_message_that_drips_is_aborted_and_its_instance_discarded(self) -> None:
        async with running_archive(timeouts=SHORT) as archive:
            peer = await Peer.associated(archive.port)
            peer.send(*fragment_command(3, store_request(), 1000))

            async def drip() -> None:
                while True:
                    peer.send(*fragment_data_set(3, b"ab", 2, is_end=False))
                    await asyncio.sleep(0.02)

            dripping = asyncio.create_task(drip())
            event = await peer.event()
            dripping.cancel()
            assert isinstance(event, Abort)
            await peer.close()
            await until(lambda: archive.store.discarded)
            assert error_codes(archive.reports) == ["progress-timeout"]

    async def test_a_store_that_is_slow_is_not_held_against_the_peer(self) -> None:
        async with running_archive(timeouts=SHORT) as archive:
            archive.store.gate = asyncio.Event()
            peer = await Peer.associated(archive.port)
            peer.send_message(3, store_request(), bytes(50_000))
            await asyncio.sleep(1.0)
            archive.store.gate.set()
            assert isinstance(await peer.response(), CStoreResponse)
            await peer.close()

    async def test_a_peer_that_does_not_close_after_an_abort_is_closed_by_artim(self) -> None:
        async with running_archive(timeouts=SHORT) as archive:
            peer = await Peer.associated(archive.port)
            assert isinstance(await peer.event(), Abort)
            await until(lambda: archive.acceptor.connection_count == 0)
            await peer.close()


class TestHostilePeers:
    """What is no protocol is answered as the standard says, and stays without effect on others."""

    @pytest.mark.parametrize(
        "data",
        [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x04\x00\xff\xff\xff\xff" + bytes(100),
            b"\x01\x00\xff\xff\xff\xff" + bytes(100),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
        ],
        ids=["http", "p-data of 4 GB", "request of 4 GB", "tls hello"],
    )
    async def test_garbage_ends_its_connection_alone(self, data: bytes) -> None:
        async with running_archive(timeouts=Timeouts(artim_s=0.2)) as archive:
            good = await Peer.associated(archive.port)
            peer = await Peer.connected(archive.port)
            peer.writer.write(data)
            answer = await peer.reader.read()
            assert answer[:1] == b"\x07"
            await peer.close()
            good.send_message(1, ECHO)
            assert isinstance(await good.response(), CEchoResponse)
            await good.release()

    async def test_a_violation_of_the_message_protocol_is_reported_and_aborted(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            peer.send(*fragment_data_set(3, b"no command before", 1000, is_end=True))
            assert isinstance(await peer.event(), Abort)
            await peer.close()
            await until(lambda: archive.outcomes == [Outcome.ACCEPTED, Outcome.ABORTED])
            assert error_codes(archive.reports) == ["dimse-violation"]

    async def test_an_invalid_pdu_is_answered_with_the_reason_of_the_provider(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            peer.writer.write(b"\x44\x00\x00\x00\x00\x00")
            event = await peer.event()
            assert isinstance(event, Abort)
            assert event.reason is AbortReason.UNRECOGNIZED_PDU
            await peer.close()
            await until(lambda: archive.outcomes == [Outcome.ACCEPTED, Outcome.ABORTED])

    async def test_a_peer_that_reads_nothing_is_cut_off(self) -> None:
        async with running_archive(timeouts=Timeouts(write_s=0.2)) as archive:
            peer = await Peer.associated(archive.port)
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            echo = b"".join(self._echo_pdus(peer))
            async with asyncio.timeout(60):
                try:
                    while archive.acceptor.connection_count:
                        peer.writer.write(echo * 2000)
                        await peer.writer.drain()
                        await asyncio.sleep(0)
                except ConnectionError:
                    pass
            await until(lambda: archive.acceptor.connection_count == 0)
            peer.writer.transport.abort()

    @staticmethod
    def _echo_pdus(peer: Peer) -> list[bytes]:
        for primitive in fragment_command(1, ECHO, 1000):
            peer.core.send(primitive, 0.0)
        return [bytes(each) for each in peer.core.data_to_send()]


class TestListening:
    """Sockets."""

    async def test_a_port_that_is_taken_is_an_error_that_says_so(self) -> None:
        async with running_archive() as archive:
            acceptor = Acceptor(_scp(), max_associations=1)
            with pytest.raises(Unavailable, match=str(archive.port)):
                await acceptor.listen("127.0.0.1", archive.port)

    async def test_several_acceptors_share_a_port_when_asked_to(self) -> None:
        first, second = Acceptor(_scp(), max_associations=5), Acceptor(_scp(), max_associations=5)
        await first.listen("127.0.0.1", 0, reuse_port=True)
        port = first.addresses[0][1]
        await second.listen("127.0.0.1", port, reuse_port=True)
        assert second.addresses == first.addresses
        peer = await Peer.associated(port)
        await peer.release()
        await first.close(0.0)
        await second.close(0.0)

    async def test_given_sockets_are_listened_on(self) -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        acceptor = Acceptor(_scp(), max_associations=5)
        await acceptor.listen_on([sock])
        peer = await Peer.associated(sock.getsockname()[1])
        await peer.release()
        await acceptor.close(0.0)


class TestDraining:
    """Stop accepting, finish, answer, release."""

    async def test_nobody_is_accepted_any_more(self) -> None:
        async with running_archive() as archive:
            port = archive.port
            await archive.acceptor.close(1.0)
            with pytest.raises(ConnectionRefusedError):
                await Peer.connected(port)

    async def test_an_idle_association_is_released(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            closing = asyncio.create_task(archive.acceptor.close(20.0))
            assert isinstance(await peer.event(), ReleaseRequest)
            peer.send(ReleaseResponse())
            await closing
            await peer.close()
            await until(lambda: archive.outcomes == [Outcome.ACCEPTED, Outcome.RELEASED])

    async def test_an_instance_being_received_is_finished_and_answered_before_the_release(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            peer.send(*fragment_command(3, store_request(), 1000))
            await until(lambda: archive.store.begun)
            closing = asyncio.create_task(archive.acceptor.close(20.0))
            await asyncio.sleep(0.05)
            peer.send(*fragment_data_set(3, b"abcd", 1000, is_end=True))
            response = await peer.response()
            assert isinstance(response, CStoreResponse)
            assert response.status == 0
            assert isinstance(await peer.event(), ReleaseRequest)
            peer.send(ReleaseResponse())
            assert isinstance(await peer.event(), ConnectionClosed)
            await closing
            await peer.close()
            assert [bytes(each.content) for each in archive.store.instances] == [b"abcd"]

    async def test_a_connection_that_never_asked_is_closed(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.connected(archive.port)
            await until(lambda: archive.acceptor.connection_count == 1)
            await archive.acceptor.close(20.0)
            assert await peer.reader.read() == b""
            await peer.close()

    async def test_after_the_grace_what_is_left_is_aborted_and_discarded(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            peer.send(*fragment_command(3, store_request(), 1000))
            await until(lambda: archive.store.begun)
            await archive.acceptor.close(0.1)
            assert isinstance(await peer.event(), Abort)
            await peer.close()
            assert archive.store.discarded == archive.store.begun
            assert error_codes(archive.reports) == ["shutdown"]

    async def test_both_sides_may_ask_for_the_release_at_once(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            closing = asyncio.create_task(archive.acceptor.close(20.0))
            await asyncio.sleep(0.05)
            peer.send(ReleaseRequest())
            assert isinstance(await peer.event(), ReleaseRequest)
            peer.send(ReleaseResponse())
            assert isinstance(await peer.event(), ReleaseResponse)
            assert isinstance(await peer.event(), ConnectionClosed)
            await peer.close()
            await closing
            await until(lambda: archive.outcomes == [Outcome.ACCEPTED, Outcome.RELEASED])

    async def test_an_aborted_peer_that_does_not_close_holds_nothing_up(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            peer.send(*fragment_data_set(3, b"no command before", 1000, is_end=True))
            await until(lambda: Outcome.ABORTED in archive.outcomes)
            async with asyncio.timeout(10):
                await archive.acceptor.close(60.0)
            await peer.close()

    async def test_what_was_received_whole_is_kept_before_the_acceptor_is_closed(self) -> None:
        async with running_archive() as archive:
            archive.store.commit_gate = asyncio.Event()
            peer = await Peer.associated(archive.port)
            peer.send_message(3, store_request(), b"ab")
            await until(lambda: archive.store.writes)
            closing = asyncio.create_task(archive.acceptor.close(20.0))
            peer.writer.transport.abort()
            await until(lambda: archive.acceptor.connection_count == 0)
            assert not closing.done()
            archive.store.commit_gate.set()
            await closing
            assert len(archive.store.instances) == 1

    async def test_what_a_released_peer_still_sends_is_passed_over(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            closing = asyncio.create_task(archive.acceptor.close(20.0))
            assert isinstance(await peer.event(), ReleaseRequest)
            for part in fragment_command(3, store_request(), 1000):
                peer.core.send(part, 0.0)
            peer.send(ReleaseResponse())
            await closing
            assert archive.store.begun == []
            await peer.close()


async def test_reports_tell_who_and_how_much_and_nothing_else() -> None:
    async with running_archive() as archive:
        peer = await Peer.associated(archive.port, association_request(calling="CT_7"))
        peer.send_message(3, store_request(), bytes(100_000))
        await peer.response()
        await peer.release()
        await until(lambda: len(archive.reports) == 2)
        opened, closed = archive.reports
        assert (opened.calling_ae_title, opened.called_ae_title, opened.peer) == ("CT_7", "HILUM", "127.0.0.1")
        assert opened.association == closed.association
        assert closed.received_bytes > 100_000
        assert closed.was_accepted
        observe_nothing(closed)


def _scp() -> ArchiveScp:
    return archive_scp(MemoryStore())
