"""Stored instances on their way out: which syntax they go in, what early closing stops, what a broken line costs.

PS3.4 Annex B.
"""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from hilum.archive.model import BlobRef, StoredInstance
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.archive.sending import InstanceSent, MoveOriginator, SendState
from hilum.dimse.messages import CStoreRequest
from hilum.kernel.errors import CorruptData, NotFound, Unavailable, Unsupported
from hilum.net.reports import Outcome
from hilum.scp.calls import Call
from hilum.scp.negotiation import ScpSettings
from hilum.scp.service import ArchiveScp
from hilum.scp.store import StorageService, StoreOperation
from hilum.scp.verification import VerificationService
from hilum.scu.remote import dialer
from hilum.scu.sender import RemoteSender
from hilum.ul.negotiation import TransferSyntaxRule
from hilum.ul.primitives import Buffer
from support.dimse import (
    CT_STORAGE,
    EXPLICIT,
    MemoryIntake,
    MemoryStore,
    RunningArchive,
    admit,
    running_archive,
    tenant_of,
    until,
)

IMPLICIT = "1.2.840.10008.1.2"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
HTJ2K = "1.2.840.10008.1.2.4.201"


def stored(number: int, syntax: str = EXPLICIT, size_bytes: int = 1000) -> StoredInstance:
    blob = BlobRef(f"{number:04x}", size_bytes, 0)
    return StoredInstance(number, "1.2", "1.2.1", f"1.2.1.{number}", CT_STORAGE, syntax, blob, 1, False)


@dataclass
class Shelf:
    """Gives the bytes of stored instances: their number, repeated; large ones in chunks."""

    missing: set[int] = field(default_factory=set)
    cut_short: set[int] = field(default_factory=set)
    read: list[int] = field(default_factory=list)

    async def data_set(self, instance: StoredInstance) -> bytes | AsyncGenerator[bytes, None]:
        number = instance.instance_key
        self.read.append(number)
        if number in self.missing:
            raise NotFound("there is no such blob")
        if instance.blob.size_bytes > 10_000:
            return self._chunks(instance)
        return bytes([number]) * instance.blob.size_bytes

    async def _chunks(self, instance: StoredInstance) -> AsyncGenerator[bytes, None]:
        for index in range(instance.blob.size_bytes // 10_000):
            if instance.instance_key in self.cut_short and index:
                raise CorruptData("the blob ends before")
            yield bytes([instance.instance_key]) * 10_000


@dataclass
class Converter:
    """A transcoder that writes down what it was asked; the syntaxes in `impossible` turn out so when they are tried."""

    targets: frozenset[str] = frozenset({EXPLICIT, IMPLICIT})
    impossible: frozenset[str] = frozenset()
    asked: list[tuple[int, str]] = field(default_factory=list)

    def can(self, transfer_syntax_uid: str, target_transfer_syntax_uid: str) -> bool:
        return target_transfer_syntax_uid in self.targets

    async def data_set(self, instance: StoredInstance, transfer_syntax_uid: str) -> bytes:
        self.asked.append((instance.instance_key, transfer_syntax_uid))
        if transfer_syntax_uid in self.impossible:
            raise Unsupported("these pixels cannot be had in that syntax")
        return (b"converted:" + transfer_syntax_uid.encode()).ljust(40)


class Picky(StorageService):
    """Storage that takes some transfer syntaxes only."""

    def __init__(self, store: MemoryStore, syntaxes: tuple[str, ...]) -> None:
        super().__init__(store, ScpSettings())
        self.syntaxes = syntaxes
        self.requests: list[CStoreRequest] = []
        self.calls = 0

    def rule(self, abstract_syntax: str) -> TransferSyntaxRule | None:
        return TransferSyntaxRule(frozenset(self.syntaxes)) if abstract_syntax == CT_STORAGE else None

    def begin(self, call: Call) -> StoreOperation | None:
        assert isinstance(call.request, CStoreRequest)
        self.requests.append(call.request)
        return super().begin(call)  # type: ignore[return-value]


@contextlib.asynccontextmanager
async def picky(*syntaxes: str) -> AsyncGenerator[tuple[RunningArchive, MemoryStore, Picky], None]:
    store = MemoryStore()
    service = Picky(store, syntaxes)
    scp = ArchiveScp(services=[VerificationService(), service], tenant_of=tenant_of, admit=admit)
    async with running_archive(answering=scp) as archive:
        yield archive, store, service


def remote(archive: RunningArchive, **changes: object) -> RemoteAe:
    return RemoteAe(1, 1, "HILUM", host="127.0.0.1", port=archive.port, **changes)  # type: ignore[arg-type]


async def send(
    sender: RemoteSender, to: RemoteAe, instances: list[StoredInstance], **options: object
) -> list[InstanceSent]:
    return [each async for each in sender.send(to, instances, calling_ae_title="ME", **options)]  # type: ignore[arg-type]


def sender(shelf: Shelf | None = None, transcoder: Converter | None = None) -> RemoteSender:
    return RemoteSender(shelf or Shelf(), dialer(), transcoder)


class TestSyntax:
    """PS3.4 §B.3, PS3.5 §10."""

    async def test_an_instance_goes_as_it_is_stored_when_the_remote_takes_that(self) -> None:
        converter = Converter()
        async with picky(JPEG_2000, EXPLICIT, IMPLICIT) as (archive, store, _):
            (sent,) = await send(sender(transcoder=converter), remote(archive), [stored(7, JPEG_2000)])
        assert (sent.state, sent.status) == (SendState.STORED, 0)
        assert [(bytes(each.content), each.transfer_syntax_uid) for each in store.instances] == [
            (b"\7" * 1000, JPEG_2000)
        ]
        assert converter.asked == []

    async def test_it_is_converted_only_when_its_own_syntax_is_not_taken(self) -> None:
        converter = Converter()
        async with picky(IMPLICIT) as (archive, store, _):
            results = await send(
                sender(transcoder=converter), remote(archive), [stored(1, JPEG_2000), stored(2, IMPLICIT)]
            )
        assert {each.state for each in results} == {SendState.STORED}
        assert converter.asked == [(1, IMPLICIT)]
        by_uid = {each.sop_instance_uid: bytes(each.content) for each in store.instances}
        assert by_uid == {"1.2.1.1": (b"converted:" + IMPLICIT.encode()).ljust(40), "1.2.1.2": b"\2" * 1000}

    async def test_without_a_transcoder_what_the_remote_does_not_take_is_refused_alone(self) -> None:
        async with picky(EXPLICIT) as (archive, _, _service):
            results = await send(sender(), remote(archive), [stored(1, JPEG_2000), stored(2)])
        assert {each.instance.instance_key: each.state for each in results} == {
            1: SendState.REFUSED,
            2: SendState.STORED,
        }

    async def test_what_cannot_be_converted_after_all_goes_in_the_next_syntax_the_remote_takes(self) -> None:
        converter = Converter(impossible=frozenset({EXPLICIT}))
        async with picky(EXPLICIT, IMPLICIT) as (archive, store, _):
            (sent,) = await send(sender(transcoder=converter), remote(archive), [stored(1, JPEG_2000)])
        assert sent.state is SendState.STORED
        assert [each.transfer_syntax_uid for each in store.instances] == [IMPLICIT]
        assert converter.asked == [(1, EXPLICIT), (1, IMPLICIT)]

    async def test_what_can_be_converted_to_nothing_the_remote_takes_says_why(self) -> None:
        converter = Converter(impossible=frozenset({EXPLICIT}))
        async with picky(EXPLICIT) as (archive, _, _service):
            (sent,) = await send(sender(transcoder=converter), remote(archive), [stored(1, JPEG_2000)])
        assert (sent.state, sent.reason) == (SendState.REFUSED, "these pixels cannot be had in that syntax")

    @pytest.mark.parametrize(
        ("wanted", "asked", "stored_as", "goes_as"),
        [
            ((), None, JPEG_2000, JPEG_2000),
            ((HTJ2K, EXPLICIT), None, JPEG_2000, HTJ2K),
            ((HTJ2K, JPEG_2000), None, JPEG_2000, JPEG_2000),
            ((HTJ2K,), EXPLICIT, JPEG_2000, EXPLICIT),
            ((HTJ2K,), JPEG_2000, JPEG_2000, JPEG_2000),
            (("1.2.3.4",), None, JPEG_2000, JPEG_2000),
        ],
    )
    async def test_wishes_of_the_caller_come_before_those_of_the_remote_and_those_before_what_is_stored(
        self, wanted: tuple[str, ...], asked: str | None, stored_as: str, goes_as: str
    ) -> None:
        converter = Converter(targets=frozenset({HTJ2K, EXPLICIT, IMPLICIT}))
        async with picky(HTJ2K, JPEG_2000, EXPLICIT, IMPLICIT) as (archive, store, _):
            to = remote(archive, transfer_syntaxes=wanted)
            (sent,) = await send(sender(transcoder=converter), to, [stored(1, stored_as)], transfer_syntax_uid=asked)
        assert sent.state is SendState.STORED
        assert [each.transfer_syntax_uid for each in store.instances] == [goes_as]


class TestSend:
    """PS3.4 §B.2, PS3.7 §9.1.1."""

    async def test_move_originator_and_priority_are_told(self) -> None:
        async with picky(EXPLICIT) as (archive, _, service):
            await send(sender(), remote(archive), [stored(1)], originator=MoveOriginator("VIEWER", 17), priority=1)
        (request,) = service.requests
        assert request.move_originator_application_entity_title == "VIEWER"
        assert request.move_originator_message_id == 17
        assert request.priority == 1

    async def test_a_window_is_used_and_each_instance_has_one_answer(self) -> None:
        async with picky(EXPLICIT) as (archive, store, service):
            store.commit_gate = asyncio.Event()
            work = asyncio.ensure_future(
                send(sender(), remote(archive), [stored(number) for number in range(1, 41)], associations=1)
            )
            # As many as the window has arrive before a single one is answered.
            await until(lambda: len(service.requests) == 8)
            assert store.instances == []
            store.commit_gate.set()
            results = await work
        assert [each.state for each in results] == [SendState.STORED] * 40
        assert sorted(each.instance.instance_key for each in results) == list(range(1, 41))
        assert len(store.instances) == 40

    async def test_no_more_associations_are_opened_than_the_registry_allows(self) -> None:
        async with picky(EXPLICIT) as (archive, _, _service):
            to = remote(archive, max_associations=2)
            await send(sender(), to, [stored(number) for number in range(1, 41)], associations=10)
            assert archive.outcomes.count(Outcome.ACCEPTED) == 2

    async def test_a_large_instance_is_streamed(self) -> None:
        async with picky(EXPLICIT) as (archive, store, _):
            (sent,) = await send(sender(), remote(archive), [stored(9, size_bytes=3_000_000)])
        assert sent.state is SendState.STORED
        assert bytes(store.instances[0].content) == b"\x09" * 3_000_000

    async def test_memory_is_flat_in_the_size_of_an_instance(self) -> None:
        class Dropping(MemoryStore):
            """Counts what it gets."""

            size_bytes = 0

            def begin(self, **expected: object) -> MemoryIntake:  # type: ignore[override]
                intake = super().begin(**expected)  # type: ignore[arg-type]
                intake.write = self._count  # type: ignore[method-assign]
                return intake

            def _count(self, data: Buffer) -> None:
                self.size_bytes += len(data)

        class Long:
            """An instance as long as one likes."""

            async def data_set(self, instance: StoredInstance) -> AsyncGenerator[bytes, None]:
                return self._chunks(instance.blob.size_bytes)

            async def _chunks(self, size_bytes: int) -> AsyncGenerator[bytes, None]:
                for _ in range(size_bytes // 1_000_000):
                    yield bytes(1_000_000)

        store = Dropping()
        service = Picky(store, (EXPLICIT,))
        scp = ArchiveScp(services=[VerificationService(), service], tenant_of=tenant_of, admit=admit)
        size_bytes = 1_000_000_000
        async with running_archive(answering=scp) as archive:
            tracemalloc.start()
            try:
                results = RemoteSender(Long(), dialer()).send(
                    remote(archive), [stored(1, size_bytes=size_bytes)], calling_ae_title="ME"
                )
                assert [each.state async for each in results] == [SendState.STORED]
                _, peak_bytes = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert store.size_bytes == size_bytes
        assert peak_bytes < 20_000_000

    async def test_what_is_gone_fails_alone(self) -> None:
        async with picky(EXPLICIT) as (archive, _, _service):
            results = await send(sender(Shelf(missing={2})), remote(archive), [stored(1), stored(2), stored(3)])
        assert {each.instance.instance_key: each.state for each in results} == {
            1: SendState.STORED,
            2: SendState.FAILED,
            3: SendState.STORED,
        }

    async def test_what_cannot_be_read_to_its_end_fails_alone_and_is_not_tried_again(self) -> None:
        shelf = Shelf(cut_short={1, 2, 3, 4})
        instances = [stored(number, size_bytes=50_000) for number in range(1, 7)]
        async with picky(EXPLICIT) as (archive, store, _):
            results = await send(sender(shelf), remote(archive), instances, associations=1)
        assert {each.instance.instance_key: each.state for each in results} == {
            **dict.fromkeys((1, 2, 3, 4), SendState.FAILED),
            **dict.fromkeys((5, 6), SendState.STORED),
        }
        assert {each.reason for each in results if each.state is SendState.FAILED} == {"the blob ends before"}
        assert {each.sop_instance_uid for each in store.instances} == {"1.2.1.5", "1.2.1.6"}

    async def test_closed_early_it_begins_nothing_more(self) -> None:
        shelf = Shelf()
        async with picky(EXPLICIT) as (archive, store, service):
            results = sender(shelf).send(
                remote(archive, max_associations=1), [stored(n) for n in range(1, 200)], calling_ae_title="ME"
            )
            async with contextlib.aclosing(results):
                assert (await anext(results)).state is SendState.STORED
            sent = len(service.requests)
            assert sent < 199
            assert len(store.instances) == sent
            await until(lambda: archive.outcomes == [Outcome.ACCEPTED, Outcome.RELEASED])
            assert len(service.requests) == sent

    async def test_stopped_it_begins_nothing_more_and_tells_what_became_of_the_rest(self) -> None:
        stop = asyncio.Event()
        async with picky(EXPLICIT) as (archive, store, service):
            store.commit_gate = asyncio.Event()
            to, instances = remote(archive, max_associations=1), [stored(number) for number in range(1, 41)]
            work = asyncio.ensure_future(send(sender(), to, instances, is_stopped=stop.is_set))
            await until(lambda: len(service.requests) == 8)
            stop.set()
            store.commit_gate.set()
            results = await work
        assert [each.state for each in results] == [SendState.STORED] * 8
        assert len(store.instances) == len(service.requests) == 8

    async def test_stopped_while_the_remote_is_away_it_tells_of_nothing(self) -> None:
        to = RemoteAe(1, 1, "AWAY", host="127.0.0.1", port=1)
        asked = iter((False, False, False))
        results = await send(sender(), to, [stored(1), stored(2)], is_stopped=lambda: next(asked, True))
        assert results == []

    async def test_the_bytes_of_a_second_are_bounded_over_all_associations(self) -> None:
        loop = asyncio.get_running_loop()
        async with picky(EXPLICIT) as (archive, store, _):
            began = loop.time()
            results = await send(
                sender(),
                remote(archive),
                [stored(1, size_bytes=9_998), stored(2, size_bytes=50_000), stored(3, size_bytes=50_000)],
                max_bytes_per_s=200_000,
                associations=2,
            )
            # What goes last waits for all that went before.
            assert loop.time() - began > (109_998 - 20_000) / 200_000
        assert {each.state for each in results} == {SendState.STORED}
        contents = {each.sop_instance_uid: bytes(each.content) for each in store.instances}
        assert contents == {"1.2.1.1": b"\1" * 9_998, "1.2.1.2": b"\2" * 50_000, "1.2.1.3": b"\3" * 50_000}

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"host": None}, "has no address"),
            ({"may_be_asked": frozenset({DimseUse.QUERY})}, "does not let"),
        ],
    )
    async def test_a_remote_the_registry_gives_no_way_to_fails_everything(
        self, changes: dict[str, object], reason: str
    ) -> None:
        to = RemoteAe(1, 1, "AWAY", **{"host": "127.0.0.1", "port": 1, **changes})  # type: ignore[arg-type]
        results = await send(sender(), to, [stored(1), stored(2)])
        assert [each.state for each in results] == [SendState.FAILED] * 2
        assert reason in results[0].reason

    async def test_reasons_say_nothing_the_remote_wrote(self) -> None:
        async with picky(EXPLICIT) as (archive, store, _):
            store.commit_error = Unavailable("DOE^JANE is not welcome")
            (sent,) = await send(sender(), remote(archive), [stored(1)])
        assert sent.state is SendState.REFUSED
        assert "DOE" not in sent.reason
