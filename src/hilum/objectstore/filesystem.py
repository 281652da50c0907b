"""Blobs as files, durable before `put` returns."""
# Paths are text here: path objects would cost as much as the system calls.
# ruff: noqa: PTH103, PTH108, PTH112, PTH116, PTH120, PTH123

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from hilum.archive.keys import require_blob_key
from hilum.kernel.limits import MIB
from hilum.objectstore.failures import translated
from hilum.objectstore.open_files import OpenBlob, OpenFiles
from hilum.objectstore.ranges import read_ahead, require_length

P = ParamSpec("P")
R = TypeVar("R")

_WRITERS: Final = 16
_READERS: Final = 8
_PART_SUFFIX: Final = ".part"
_CREATE: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY
_MODE: Final = 0o640
_KNOWN_DIRECTORIES: Final = 16_384
_MOST_BUFFERS: Final = 1024  # IOV_MAX of Linux and macOS


class FilesystemStore:
    """Keeps each blob as a file below `root`.

    A file is written and synchronized under a second name, gets its own by a link, which fails if the key is taken, and
    then the directory is synchronized: under its own name a file is always whole, for a backup that runs meanwhile too.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._directories: set[str] = set()
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="blob-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="blob-reader")
        self._open_files = OpenFiles(self._root, self._readers)

    def put(self, key: str, parts: Sequence[bytes | bytearray | memoryview]) -> asyncio.Future[None]:
        """Begin to keep the concatenated parts under a new key; durable once the future has its result.

        Raises:
            Conflict: the key is taken.
            Unavailable: the disk is full (code "storage-full") or fails; nothing is left behind.
        """
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._writers, self._put, key, parts)

    async def put_file(self, key: str, path: str) -> None:
        """Keep a staged file's content under a new key; durable once it returns. The file may be gone afterwards.

        On the same file system the file itself becomes the blob; otherwise it is copied.
        """
        await self._run(self._writers, self._put_file, require_blob_key(key), path)

    async def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes from `offset`, or all to the end.

        Raises:
            NotFound: no such blob.
            CorruptData: the blob ends before.
        """
        return await self._run(self._readers, self._read, require_blob_key(key), offset, length)

    async def read_many(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes of each (offset, length), read in one thread hop."""
        return await self._run(self._readers, self._read_many, require_blob_key(key), ranges)

    async def stream(self, key: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes in chunks of a mebibyte, flat in memory."""
        if length is None:
            length = await self._run(self._readers, self._size, require_blob_key(key)) - offset

        async def read(start: int, size: int) -> bytes:
            return await self.read(key, start, size)

        async for chunk in read_ahead(read, offset, length):
            yield chunk

    async def open_files(self, keys: Sequence[str]) -> list[OpenBlob] | None:
        """Return the blobs as open files, which the caller closes.

        None when too many are open already, and on systems that cannot tell what is in memory: read them then.

        Raises:
            NotFound: one of them is not there; none is left open.
            Unavailable: the disk fails.
        """
        return await self._open_files.open([self._path(require_blob_key(key)) for key in keys])

    async def delete(self, key: str) -> None:
        """Remove the blob and what an interrupted `put` left of it; a key that is not there is no error."""
        await self._run(self._writers, self._delete, require_blob_key(key))

    async def close(self) -> None:
        """Wait for running calls and end the threads."""
        await asyncio.to_thread(self._writers.shutdown)
        await asyncio.to_thread(self._readers.shutdown)

    async def _run(self, pool: ThreadPoolExecutor, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        assert not kwargs
        return await asyncio.get_running_loop().run_in_executor(pool, function, *args)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _put(self, key: str, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        path = self._path(require_blob_key(key))
        with translated():
            part = self._create_part(path)
            try:
                with _removed_on_failure(path + _PART_SUFFIX):
                    write_all(part, parts)
                    self._publish(part, path + _PART_SUFFIX, path)
            finally:
                os.close(part)
            os.unlink(path + _PART_SUFFIX)

    def _put_file(self, key: str, staged: str) -> None:
        path = self._path(key)
        with translated():
            self._ensure_directory(os.path.dirname(path), anew=True)
            if os.stat(staged).st_dev != os.stat(os.path.dirname(path)).st_dev:
                self._copy(staged, path)
            else:
                descriptor = os.open(staged, os.O_RDWR)
                try:
                    self._publish(descriptor, staged, path)
                finally:
                    os.close(descriptor)
            os.unlink(staged)

    def _copy(self, staged: str, path: str) -> None:
        part = self._create_part(path)
        try:
            with _removed_on_failure(path + _PART_SUFFIX), open(staged, "rb") as source:
                while content := source.read(MIB):
                    write_all(part, (content,))
                self._publish(part, path + _PART_SUFFIX, path)
        finally:
            os.close(part)
        os.unlink(path + _PART_SUFFIX)

    def _create_part(self, path: str) -> int:
        directory = os.path.dirname(path)
        self._ensure_directory(directory)
        try:
            return os.open(path + _PART_SUFFIX, _CREATE, _MODE)
        except FileNotFoundError:
            self._ensure_directory(directory, anew=True)  # someone has removed directories below us
            return os.open(path + _PART_SUFFIX, _CREATE, _MODE)

    def _publish(self, descriptor: int, written: str, path: str) -> None:
        """Make a written file durable under its own name."""
        os.fsync(descriptor)
        os.link(written, path)
        with _removed_on_failure(path):
            _sync_directory(os.path.dirname(path))

    def _ensure_directory(self, directory: str, *, anew: bool = False) -> None:
        """Make the directory and those above it durable, once per process and directory; `anew` looks again."""
        if directory in self._directories:
            if not anew or os.path.isdir(directory):
                return
            self._directories.clear()
        missing = [directory]
        while len(missing[-1]) > len(self._root):
            missing.append(os.path.dirname(missing[-1]))
        for path in reversed(missing):
            if path not in self._directories:
                os.makedirs(path, mode=0o750, exist_ok=True)
                # Also when it was there: another process may have made it and not yet synchronized it.
                _sync_directory(os.path.dirname(path))
                if len(self._directories) >= _KNOWN_DIRECTORIES:
                    self._directories.clear()
                self._directories.add(path)

    def _read(self, key: str, offset: int, length: int | None) -> bytes:
        return self._read_many(key, [(offset, length)])[0]

    def _read_many(self, key: str, ranges: Sequence[tuple[int, int | None]]) -> list[bytes]:
        with translated():
            descriptor = os.open(self._path(key), os.O_RDONLY)
            try:
                return [_read_range(descriptor, offset, length) for offset, length in ranges]
            finally:
                os.close(descriptor)

    def _size(self, key: str) -> int:
        with translated():
            return os.stat(self._path(key)).st_size

    def _delete(self, key: str) -> None:
        path = self._path(key)
        with translated():
            for name in (path, path + _PART_SUFFIX):
                try:
                    os.unlink(name)
                except FileNotFoundError:
                    pass


def write_all(descriptor: int, parts: Sequence[bytes | bytearray | memoryview]) -> None:
    """Write all parts at the file's position, in as few calls as the system allows."""
    size = sum(map(len, parts))
    if len(parts) <= _MOST_BUFFERS:
        written = os.writev(descriptor, parts)
        if written == size:
            return
    else:
        written = 0
    for part in parts:
        skip = min(written, len(part))
        written -= skip
        with memoryview(part) as view:
            while skip < len(part):
                skip += os.write(descriptor, view[skip:])


def _read_range(descriptor: int, offset: int, length: int | None) -> bytes:
    if length is None:
        length = max(os.fstat(descriptor).st_size - offset, 0)
    content = os.pread(descriptor, length, offset)
    while 0 < len(content) < length:  # a read of more than 2 GiB comes in pieces
        more = os.pread(descriptor, length - len(content), offset + len(content))
        if not more:
            break
        content += more
    return require_length(content, length)


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _removed_on_failure(path: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        raise
