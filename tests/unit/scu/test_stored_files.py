"""Data sets that go from an open file to the socket: PS3.8 §9.3.5 holds for them as for all others."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hilum.archive.keys import instance_blob_key
from hilum.archive.sending import SendState
from hilum.kernel.errors import Unavailable
from hilum.kernel.files import Content, FileRange
from hilum.net import outbox
from hilum.net.association import Association
from hilum.net.connection import Connection
from hilum.objectstore import FilesystemStore
from hilum.scu.contexts import InstanceKind
from hilum.scu.handler import RequestorHandler
from hilum.scu.remote import Remote, call
from hilum.scu.storage import SendResult, send_instances
from hilum.ul.primitives import ProposedContext
from support.certificates import Authority
from support.dimse import CT_STORAGE, EXPLICIT, RunningArchive, running_archive, store_request, until

OFFSET = 344
KIND = InstanceKind(CT_STORAGE, (EXPLICIT,))


@dataclass(frozen=True)
class InStore:
    """A stored instance whose data set is given in its file."""

    blobs: FilesystemStore
    number: int
    length: int
    kind: InstanceKind = KIND

    @property
    def key(self) -> str:
        return instance_blob_key(1, "1.2.3", f"{self.number:032x}")

    @property
    def sop_class_uid(self) -> str:
        return CT_STORAGE

    @property
    def sop_instance_uid(self) -> str:
        return f"1.2.{self.number}"

    async def data_set(self, transfer_syntax_uid: str) -> Content:
        (file,) = await self.blobs.open_files([self.key]) or ()
        return FileRange(file, OFFSET, self.length)

    async def content(self) -> bytes:
        return await self.blobs.read(self.key, OFFSET)


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[FilesystemStore]:
    store = FilesystemStore(tmp_path / "blobs")
    yield store
    assert store._open_files.count == 0
    await store.close()


async def stored(blobs: FilesystemStore, number: int, size: int, *, missing: int = 0) -> InStore:
    """Keep an instance; `missing` bytes of it have been lost since."""
    instance = InStore(blobs, number, size)
    await blobs.put(instance.key, [os.urandom(OFFSET), os.urandom(size - missing)])
    return instance


async def sent(instances: list[InStore], to: Remote, **options: float) -> list[SendResult[InStore]]:
    results = send_instances(instances, to, calling_ae_title="ME", retry_delay_s=0.01, **options)  # type: ignore[arg-type]
    return [each async for each in results]


async def received(archive: RunningArchive) -> dict[str | None, bytes]:
    return {each.sop_instance_uid: bytes(each.content) for each in archive.store.instances}


def count_of_files(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with every data set the system sends itself."""
    lengths: list[int] = []
    original = Connection.send_file

    async def noted(self: Connection, context_id: int, command: object, content: FileRange, size: int) -> None:
        lengths.append(content.length)
        await original(self, context_id, command, content, size)  # type: ignore[arg-type]

    monkeypatch.setattr(Connection, "send_file", noted)
    return lengths


@pytest.mark.parametrize("way", ["files", "small PDUs", "TLS", "bounded rate"])
async def test_every_data_set_arrives_whole(
    blobs: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    lengths = count_of_files(monkeypatch)
    # Empty, of one PDU, of several, longer than what is brought into memory at a time.
    instances = [await stored(blobs, number, size) for number, size in enumerate((0, 2, 300_000, 9_000_000))]
    server = client = None
    if way == "TLS":
        authority = Authority(tmp_path)
        issued = authority.issue("server")
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(issued.certificate, issued.key)
        client = ssl.create_default_context(cafile=str(authority.certificate))
    if way == "small PDUs":
        monkeypatch.setattr(outbox, "_LEAST_FILE_FRAGMENT_BYTES", 1 << 30)
    options = {"max_bytes_per_s": 1e9} if way == "bounded rate" else {}
    async with running_archive(tls=server) as archive:
        results = await sent(instances, Remote("HILUM", "127.0.0.1", archive.port, client), **options)
        assert [each.state for each in results] == [SendState.STORED] * 4
        assert await received(archive) == {each.sop_instance_uid: await each.content() for each in instances}
    assert sorted(lengths) == ([2, 300_000, 9_000_000] if way == "files" else [])


async def test_one_that_ends_early_fails_alone(blobs: FilesystemStore) -> None:
    sizes = ((300_000, 0), (3_000_000, 1_000), (300_000, 0))
    instances = [await stored(blobs, number, size, missing=missing) for number, (size, missing) in enumerate(sizes)]
    async with running_archive() as archive:
        results = await sent(instances, Remote("HILUM", "127.0.0.1", archive.port))
        states = {each.instance.number: each.state for each in results}
        assert states == {0: SendState.STORED, 1: SendState.FAILED, 2: SendState.STORED}
        assert next(each.reason for each in results if each.instance.number == 1).endswith("shorter than recorded")
        whole = await received(archive)
        assert whole == {each.sop_instance_uid: await each.content() for each in (instances[0], instances[2])}


async def begun(archive: RunningArchive, content: Content) -> tuple[Association, asyncio.Task[None]]:
    """Return an association whose peer takes no more, and the sending of a data set that waits for it."""
    archive.store.gate = asyncio.Event()
    association = await call(
        Remote("HILUM", "127.0.0.1", archive.port), "ME", [ProposedContext(1, CT_STORAGE, (EXPLICIT,))],
        RequestorHandler(),
    )  # fmt: skip
    sending = asyncio.create_task(association.invoke(1, store_request(), content))
    await until(lambda: archive.store.writes)
    await asyncio.sleep(0.1)
    assert not sending.done()
    return association, sending


async def test_an_abort_waits_for_the_end_of_the_pdu_under_way(blobs: FilesystemStore) -> None:
    instance = await stored(blobs, 1, 50_000_000)
    content = await instance.data_set(EXPLICIT)
    assert isinstance(content, FileRange)
    async with running_archive() as archive:
        association, sending = await begun(archive, content)
        association.abort()
        assert archive.store.gate is not None
        archive.store.gate.set()
        with pytest.raises(Unavailable):
            await sending
        await until(lambda: len(archive.reports) == 2)
        assert archive.reports[-1].outcome.name == "ABORTED_BY_PEER"
        (intake,) = archive.store.begun
        assert (await instance.content()).startswith(bytes(intake.content))
        await content.aclose()


async def test_a_peer_that_leaves_midway_ends_the_sending(blobs: FilesystemStore) -> None:
    content = await (await stored(blobs, 1, 50_000_000)).data_set(EXPLICIT)
    assert isinstance(content, FileRange)
    async with running_archive() as archive:
        association, sending = await begun(archive, content)
        await archive.acceptor.close(0.0)
        with pytest.raises(Unavailable):
            await sending
        await association.connection.closed()
        await content.aclose()


async def test_a_sending_that_is_cancelled_midway_ends_the_connection(blobs: FilesystemStore) -> None:
    content = await (await stored(blobs, 1, 50_000_000)).data_set(EXPLICIT)
    assert isinstance(content, FileRange)
    async with running_archive() as archive:
        association, sending = await begun(archive, content)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await association.connection.closed()
        assert association.is_ended
        assert archive.store.gate is not None
        archive.store.gate.set()
        await until(lambda: len(archive.reports) == 2)
        assert not archive.store.instances
        await content.aclose()
