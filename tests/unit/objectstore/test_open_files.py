"""Blobs as open files, and what the system has of them in memory."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.archive.keys import instance_blob_key
from hilum.kernel.errors import NotFound
from hilum.kernel.limits import MAX_OPEN_BLOBS
from hilum.objectstore import FilesystemStore
from hilum.objectstore.cached_open import open_cached
from hilum.objectstore.open_files import is_in_memory, is_resident

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere blobs are read: run this on Linux")

KEYS = [instance_blob_key(1, "1.2.3", f"{number:032x}") for number in range(3)]


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not come to this")


def _unknown(path: str) -> int:
    """Know no name without asking a disk."""
    raise OSError(errno.EAGAIN, path)


async def test_what_the_system_has_in_memory_needs_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        os.close(open_cached(str(tmp_path)))
    except OSError:
        pytest.skip("this kernel opens nothing without asking a disk: run it on Linux 5.12 or later")
    store = FilesystemStore(tmp_path)
    for key in KEYS:
        await store.put(key, [key.encode()])
    first = await store.open_files(KEYS[:1])
    hops: list[object] = []
    monkeypatch.setattr(store._readers, "submit", lambda *call: hops.append(call))
    files = [*(first or ()), *(await store.open_files(KEYS[1:]) or ())]
    for key, file in zip(KEYS, files, strict=True):
        await file.load(0, file.size_bytes)
        assert os.pread(file.descriptor, 1000, 0) == key.encode()
        file.close()
    assert not hops
    monkeypatch.undo()
    await store.close()


async def test_open_files_have_descriptor_and_size_and_outlive_their_blob(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    for key in KEYS:
        await store.put(key, [key.encode()])
    before = _open_descriptors()
    files = await store.open_files(KEYS)
    assert files is not None
    for key, file in zip(KEYS, files, strict=True):
        await store.delete(key)
        await file.load(0, file.size_bytes)
        assert file.size_bytes == len(key)
        assert os.pread(file.descriptor, 1000, 0) == key.encode()
        file.close()
        file.close()
    assert _open_descriptors() == before
    await store.close()


@pytest.mark.parametrize("are_names_known", [True, False])
async def test_nothing_stays_open_when_one_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, are_names_known: bool
) -> None:
    if not are_names_known:
        monkeypatch.setattr("hilum.objectstore.open_files.open_cached", _unknown)
    store = FilesystemStore(tmp_path)
    await store.put(KEYS[0], [b"x"])
    await store.open_files([])  # the threads have their descriptors now
    before = _open_descriptors()
    with pytest.raises(NotFound):
        await store.open_files(KEYS)
    assert _open_descriptors() == before
    await store.close()


async def test_too_many_are_not_opened_and_closed_ones_do_not_count(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    await store.put(KEYS[0], [b"x"])
    files = await store.open_files(KEYS[:1] * MAX_OPEN_BLOBS)
    assert files is not None
    assert await store.open_files(KEYS[:1]) is None
    files[0].close()
    again = await store.open_files(KEYS[:1])
    assert again is not None
    with pytest.raises(NotFound):
        again[0].close()
        await store.open_files(KEYS[1:2])
    for file in [*files[1:], *(await store.open_files(KEYS[:1]) or ())]:
        file.close()
    assert len(await store.open_files(KEYS[:1] * MAX_OPEN_BLOBS) or ()) == MAX_OPEN_BLOBS
    await store.close()


async def test_what_is_opened_for_somebody_who_is_gone_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FilesystemStore(tmp_path)
    await store.put(KEYS[0], [b"x"])
    await store.open_files([])
    before = _open_descriptors()
    begun, may_open = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    original = os.open

    def slowly(path: str, flags: int, mode: int = 0o777) -> int:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(may_open.wait(), loop).result(10)
        return original(path, flags, mode)

    monkeypatch.setattr(os, "open", slowly)
    monkeypatch.setattr("hilum.objectstore.open_files.open_cached", _unknown)
    opening = asyncio.ensure_future(store.open_files(KEYS[:1]))
    await begun.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    may_open.set()
    await store.close()
    await asyncio.sleep(0)
    monkeypatch.undo()
    await _until(lambda: _open_descriptors() <= before and not store._open_files.count)


async def test_what_is_on_the_disk_alone_is_brought_into_memory(tmp_path: Path) -> None:
    if is_in_memory(str(tmp_path)):
        pytest.skip("the folder for tests lies in memory: run pytest with --basetemp on a disk")
    store = FilesystemStore(tmp_path)
    content = os.urandom(3_000_000)
    await store.put(KEYS[0], [content])
    (file,) = await store.open_files(KEYS[:1]) or ()
    os.posix_fadvise(file.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    assert not is_resident(file.descriptor, 1_000_000, 1_000_000)
    await file.load(1_000_000, 1_000_000)
    assert is_resident(file.descriptor, 1_000_000, 1_000_000)
    file.close()
    await store.close()


def test_a_range_beyond_the_end_needs_no_waiting(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(b"x")
    with path.open("rb") as file:
        if is_in_memory(str(tmp_path)):
            assert not is_resident(file.fileno(), 0, 1)  # such file systems cannot tell
        else:
            assert is_resident(file.fileno(), 100, 1_000_000)
            assert is_resident(file.fileno(), 0, 0)


def test_file_systems_in_memory_are_known() -> None:
    if not Path("/dev/shm").is_dir():
        pytest.skip("no file system in memory: mount -t tmpfs tmpfs /dev/shm")
    assert is_in_memory("/dev/shm")
    assert not is_in_memory("/proc")
