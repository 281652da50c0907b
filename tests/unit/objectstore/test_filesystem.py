"""Files: what is special about them; what all stores promise is tested by the contract."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import pytest

from hilum.archive.keys import instance_blob_key, require_blob_key
from hilum.kernel.errors import NotFound, Unavailable
from hilum.objectstore import FilesystemStore
from hilum.objectstore.filesystem import write_all

KEY = instance_blob_key(7, "1.2.840", "0" * 32)


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_keys_are_made_of_our_own_words_whatever_the_uid_holds() -> None:
    for uid in ("1.2.3", "../../etc", "\0", "1" * 10_000, "\udc80"):
        key = require_blob_key(instance_blob_key(10**18, uid, "f" * 32))
        assert len(key.split("/")) == 4
    assert instance_blob_key(1, "1.2", "a") != instance_blob_key(2, "1.2", "a")


async def test_everything_is_synchronized_before_put_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synchronized: list[tuple[str, int]] = []
    original = os.fsync

    def noting(descriptor: int) -> None:
        synchronized.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), os.fstat(descriptor).st_size))
        original(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    store = FilesystemStore(tmp_path / "blobs")
    await store.put(KEY, [b"x" * 1000])
    paths = [path for path, _ in synchronized]
    file = tmp_path / "blobs" / KEY
    directories = [tmp_path, *reversed(file.relative_to(tmp_path).parents[:-1])]
    # Each directory above is made durable by synchronizing its parent, outermost first; then content, then name.
    assert paths[: len(directories) - 1] == [str(tmp_path / path) for path in directories[:-1]]
    assert synchronized[-2][1] == 1000
    assert paths[-1] == str(file.parent)

    synchronized.clear()
    await store.put(KEY.replace("000.dcm", "001.dcm"), [b"y"])
    assert len(synchronized) == 2
    await store.close()


async def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "blobs")
    staged = tmp_path / "staged"
    staged.write_bytes(bytes(200_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(Unavailable) as caught:
            await store.put(KEY, [bytes(60_000), bytes(60_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.reason_code == "storage-full"
    assert _files(tmp_path / "blobs") == []
    await store.close()


async def test_a_failing_disk_is_unavailable_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FilesystemStore(tmp_path / "blobs")
    await store.put(KEY, [b"makes the directories"])

    def failing(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    other = KEY.replace("000.dcm", "001.dcm")
    with pytest.raises(Unavailable):
        await store.put(other, [b"content"])
    staged = tmp_path / "staged"
    staged.write_bytes(b"content")
    with pytest.raises(Unavailable):
        await store.put_file(other, str(staged))
    assert _files(tmp_path / "blobs") == [tmp_path / "blobs" / KEY]
    assert staged.exists()
    await store.close()


async def test_what_an_interrupted_put_left_goes_with_delete(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "blobs")
    part = tmp_path / "blobs" / (KEY + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    await store.delete(KEY)
    assert _files(tmp_path / "blobs") == []
    await store.close()


async def test_a_directory_someone_removed_is_made_again(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "blobs")
    await store.put(KEY, [b"first"])
    shutil.rmtree(tmp_path / "blobs" / "t7")
    await store.put(KEY, [b"second"])
    assert await store.read(KEY) == b"second"
    await store.close()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system: /dev/shm")
async def test_a_staged_file_of_another_file_system_is_copied(tmp_path: Path) -> None:
    if Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system: mount a tmpfs on /dev/shm")
    staged = Path("/dev/shm") / f"staged-{os.getpid()}"
    staged.write_bytes(b"content")
    store = FilesystemStore(tmp_path / "blobs")
    try:
        await store.put_file(KEY, str(staged))
        assert await store.read(KEY) == b"content"
        assert not staged.exists()
        assert len(_files(tmp_path / "blobs")) == 1
    finally:
        staged.unlink(missing_ok=True)
        await store.close()


def test_partial_writes_are_continued(tmp_path: Path) -> None:
    parts = [os.urandom(70_000), b"", bytearray(os.urandom(90_000)), memoryview(os.urandom(10))]
    read, write = os.pipe()
    received = bytearray()
    pid = os.fork()
    if pid == 0:  # the child writes into the pipe, which takes 64 KiB at a time
        os.close(read)
        write_all(write, parts)
        os._exit(0)
    os.close(write)
    while chunk := os.read(read, 50_000):
        received += chunk
    os.close(read)
    assert os.waitpid(pid, 0)[1] == 0
    assert received == b"".join(parts)


async def test_files_are_not_open_to_others(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "blobs")
    await store.put(KEY, [b"content"])
    path = tmp_path / "blobs" / KEY
    assert path.stat().st_mode & 0o007 == 0
    assert path.parent.stat().st_mode & 0o007 == 0
    with pytest.raises(NotFound):
        await store.read(KEY + "x")
    await store.close()
