"""What every blob store promises, asked of each of them: files, and a real S3 service."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hilum.archive.keys import instance_blob_key
from hilum.kernel.errors import Conflict, CorruptData, InvalidInput, NotFound
from hilum.kernel.ids import new_blob_name
from hilum.kernel.limits import BLOB_CHUNK_BYTES, UPLOAD_PART_BYTES
from hilum.objectstore import FilesystemStore, ObjectStore, open_object_store
from support.seaweed import BUCKET, S3Service


@pytest.fixture(params=["files", "s3"])
async def blobs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FilesystemStore | ObjectStore]:
    store: FilesystemStore | ObjectStore
    if request.param == "files":
        store = FilesystemStore(tmp_path / "blobs")
    else:
        service: S3Service = request.getfixturevalue("s3")
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        store = open_object_store(f"s3://{BUCKET}/archive", endpoint=service.endpoint, allow_http=True)
    yield store
    await store.close()


@pytest.fixture
def key() -> str:
    return instance_blob_key(1, "1.2.3", new_blob_name())


Store = FilesystemStore | ObjectStore


async def test_what_was_put_is_read_back(blobs: Store, key: str) -> None:
    await blobs.put(key, [b"one ", bytearray(b"two "), memoryview(b"three")])
    assert await blobs.read(key) == b"one two three"
    assert await blobs.read(key, 4) == b"two three"
    assert await blobs.read(key, 4, 3) == b"two"
    assert await blobs.read(key, 13, 0) == b""
    assert isinstance(await blobs.read(key), bytes)


async def test_an_empty_blob_is_a_blob(blobs: Store, key: str) -> None:
    await blobs.put(key, [b""])
    assert await blobs.read(key) == b""
    assert [chunk async for chunk in blobs.stream(key)] == []


async def test_a_blob_of_very_many_parts_is_whole(blobs: Store, key: str) -> None:
    parts = [bytes([number % 256]) * (number % 7) for number in range(5000)]
    await blobs.put(key, parts)
    assert await blobs.read(key) == b"".join(parts)


async def test_several_ranges_are_read_at_once(blobs: Store, key: str) -> None:
    content = os.urandom(3_000_000)
    await blobs.put(key, [content])
    ranges = [(2_999_990, 10), (0, 1), (1_000_000, 500_000), (7, 0), (1_000_001, 3)]
    assert await blobs.read_many(key, ranges) == [content[start : start + size] for start, size in ranges]


async def test_a_large_blob_streams_in_bounded_chunks(blobs: Store, key: str) -> None:
    content = os.urandom(5 * BLOB_CHUNK_BYTES + 17)
    await blobs.put(key, [content])
    chunks = [chunk async for chunk in blobs.stream(key)]
    assert b"".join(chunks) == content
    assert max(map(len, chunks)) <= BLOB_CHUNK_BYTES
    part = [chunk async for chunk in blobs.stream(key, 1_000_000, 2_500_000)]
    assert b"".join(part) == content[1_000_000:3_500_000]


async def test_a_reader_may_leave_in_the_middle(blobs: Store, key: str) -> None:
    await blobs.put(key, [os.urandom(4 * BLOB_CHUNK_BYTES)])
    stream = blobs.stream(key)
    assert len(await anext(stream)) == BLOB_CHUNK_BYTES
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_staged_file_becomes_a_blob(blobs: Store, key: str, tmp_path: Path) -> None:
    content = os.urandom(2 * UPLOAD_PART_BYTES + 12_345)
    staged = tmp_path / "staged"
    staged.write_bytes(content)
    await blobs.put_file(key, str(staged))
    assert await blobs.read(key) == content
    staged.unlink(missing_ok=True)
    assert await blobs.read(key, len(content) - 5, 5) == content[-5:]


async def test_a_key_that_is_taken_is_refused_and_its_content_stays(blobs: Store, key: str, tmp_path: Path) -> None:
    await blobs.put(key, [b"first"])
    with pytest.raises(Conflict):
        await blobs.put(key, [b"second"])
    staged = tmp_path / "staged"
    staged.write_bytes(b"third")
    with pytest.raises(Conflict):
        await blobs.put_file(key, str(staged))
    assert await blobs.read(key) == b"first"
    assert staged.read_bytes() == b"third"


async def test_of_writers_of_one_key_one_wins(blobs: Store, key: str) -> None:
    results = await asyncio.gather(
        *(blobs.put(key, [bytes([number]) * 100_000]) for number in range(6)), return_exceptions=True
    )
    assert results.count(None) == 1
    assert all(isinstance(result, Conflict) for result in results if result is not None)
    assert await blobs.read(key) == bytes([results.index(None)]) * 100_000


async def test_a_key_that_is_not_there_is_not_found(blobs: Store, key: str, tmp_path: Path) -> None:
    for reading in (blobs.read(key), blobs.read(key, 5), blobs.read(key, 0, 5), blobs.read_many(key, [(0, 1), (2, 3)])):
        with pytest.raises(NotFound):
            await reading
    with pytest.raises(NotFound):
        await anext(blobs.stream(key))
    with pytest.raises(NotFound):
        await anext(blobs.stream(key, 0, 10))
    with pytest.raises(NotFound):
        await blobs.read_many(key, [(0, 0)])
    with pytest.raises(NotFound):
        await blobs.put_file(key, str(tmp_path / "not-there"))


async def test_a_blob_that_ends_too_early_is_corrupt(blobs: Store, key: str) -> None:
    await blobs.put(key, [b"0123456789"])
    for offset, length in ((0, 11), (5, 6), (10, 1), (100, 5)):
        with pytest.raises(CorruptData):
            await blobs.read(key, offset, length)


async def test_deleting_is_final_and_can_be_repeated(blobs: Store, key: str) -> None:
    await blobs.put(key, [b"content"])
    await blobs.delete(key)
    await blobs.delete(key)
    with pytest.raises(NotFound):
        await blobs.read(key)
    await blobs.put(key, [b"again"])
    assert await blobs.read(key) == b"again"


@pytest.mark.parametrize(
    "bad",
    ["", "/", "../x", "a/../../x", "/etc/passwd", "a//b", "a/./b", "A", "a b", "a\0", "a/", "ä", "a\n", "x" * 200],
)
async def test_keys_that_could_lead_elsewhere_are_refused(blobs: Store, bad: str, tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.write_bytes(b"")
    for calling in (
        blobs.put(bad, [b""]),
        blobs.put_file(bad, str(staged)),
        blobs.read(bad),
        blobs.read_many(bad, [(0, 1)]),
        blobs.delete(bad),
        anext(blobs.stream(bad)),
    ):
        with pytest.raises(InvalidInput):
            await calling


async def test_many_writers_and_readers_do_not_disturb_each_other(blobs: Store) -> None:
    contents = {instance_blob_key(1, f"1.{n % 5}", new_blob_name()): os.urandom(20_000 + n) for n in range(60)}
    await asyncio.gather(*(blobs.put(key, [content]) for key, content in contents.items()))
    read = await asyncio.gather(*(blobs.read(key) for key in contents))
    assert read == list(contents.values())


async def test_open_files_are_the_blobs_or_there_are_none(blobs: Store, key: str) -> None:
    content = os.urandom(100_000)
    await blobs.put(key, [content])
    files = await blobs.open_files([key])
    assert (files is None) == isinstance(blobs, ObjectStore)
    for file in files or ():
        await file.load(10, 1000)
        assert file.size_bytes == len(content)
        assert os.pread(file.descriptor, len(content), 0) == content
        file.close()
