"""Open files of blobs, and whether the system has their bytes in memory."""
# Paths are text here: path objects would cost as much as the system calls.
# ruff: noqa: PTH116, PTH123

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Final

from hilum.kernel.limits import KIB, MAX_OPEN_BLOBS, MIB
from hilum.objectstore.cached_open import open_cached
from hilum.objectstore.failures import translated

# A range counts as being in memory when a byte each so many bytes is: the system reads files ahead by that much.
_SAMPLE_EACH_BYTES: Final = 128 * KIB
# How much more is asked of the disk than is waited for.
_READ_AHEAD_BYTES: Final = 4 * MIB
_IN_MEMORY: Final = frozenset(("tmpfs", "ramfs"))


class OpenBlob:
    """A blob as an open file; implements `hilum.kernel.files.OpenFile`. It takes over the descriptor.

    Args:
        is_in_memory: whether the file system has no disk behind it.
        readers: where a disk is waited for.
        on_close: told of the end.
    """

    __slots__ = ("_is_in_memory", "_is_open", "_on_close", "_readers", "descriptor", "size_bytes")

    def __init__(
        self,
        descriptor: int,
        size_bytes: int,
        *,
        is_in_memory: bool,
        readers: Executor,
        on_close: Callable[[], object],
    ) -> None:
        self.descriptor = descriptor
        self.size_bytes = size_bytes
        self._is_in_memory = is_in_memory
        self._readers = readers
        self._on_close = on_close
        self._is_open = True

    async def load(self, offset: int, length: int) -> None:
        """Return when the range is in memory, as far as there is anything.

        Raises:
            Unavailable: it cannot be read.
        """
        if self._is_in_memory or is_resident(self.descriptor, offset, length):
            return
        # A descriptor of its own: this one may be closed, and its number taken again, before the thread is done.
        own = os.dup(self.descriptor)
        await asyncio.get_running_loop().run_in_executor(self._readers, _load_and_close, own, offset, length)

    def close(self) -> None:
        """Close the file."""
        if self._is_open:
            self._is_open = False
            os.close(self.descriptor)
            self._on_close()


class OpenFiles:
    """Opens the blobs below a folder, no more than `limits.MAX_OPEN_BLOBS` at a time.

    Args:
        root: the folder.
        readers: where a disk is waited for.
    """

    def __init__(self, root: str, readers: Executor) -> None:
        self._root = root
        self._readers = readers
        self._is_in_memory: bool | None = None
        self.count = 0

    async def open(self, paths: Sequence[str]) -> list[OpenBlob] | None:
        """Return the files, or None if there would be too many, or this system cannot tell what is in memory.

        Raises:
            NotFound: one of them is not there; none is left open.
            Unavailable: the disk fails.
        """
        if sys.platform != "linux" or self.count + len(paths) > MAX_OPEN_BLOBS:
            return None
        in_memory = self._is_in_memory
        if in_memory is not None:
            known = _open_known(paths, in_memory)
            if known is not None:
                self.count += len(known)
                return [self._file(*each) for each in known]
        self.count += len(paths)
        opening = asyncio.get_running_loop().run_in_executor(self._readers, self._open, paths)
        try:
            opened = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(lambda done: self._close_unwanted(done, len(paths)))
            raise
        except BaseException:
            self.count -= len(paths)
            raise
        return [self._file(*each) for each in opened]

    def _open(self, paths: Sequence[str]) -> list[tuple[int, int]]:
        with translated():
            opened = _open_all(paths, lambda path: os.open(path, os.O_RDONLY))
            for descriptor, size_bytes in opened:
                os.posix_fadvise(descriptor, 0, min(size_bytes, _READ_AHEAD_BYTES), os.POSIX_FADV_WILLNEED)
            if self._is_in_memory is None:
                self._is_in_memory = is_in_memory(self._root)
        return opened

    def _file(self, descriptor: int, size_bytes: int) -> OpenBlob:
        in_memory = bool(self._is_in_memory)
        return OpenBlob(
            descriptor, size_bytes, is_in_memory=in_memory, readers=self._readers, on_close=self._note_closed
        )

    def _note_closed(self) -> None:
        self.count -= 1

    def _close_unwanted(self, opening: asyncio.Future[list[tuple[int, int]]], count: int) -> None:
        """Close what was opened for somebody who is gone."""
        self.count -= count
        if not opening.cancelled() and opening.exception() is None:
            _close_all(opening.result())


def _open_known(paths: Sequence[str], in_memory: bool) -> list[tuple[int, int]] | None:
    """Return descriptors and sizes if no disk has to be waited for, neither for names nor for the first bytes."""
    try:
        opened = _open_all(paths, open_cached)
    except OSError:
        return None
    if in_memory or all(is_resident(descriptor, 0, 1) for descriptor, _ in opened):
        return opened
    _close_all(opened)
    return None


def _open_all(paths: Sequence[str], opener: Callable[[str], int]) -> list[tuple[int, int]]:
    opened: list[tuple[int, int]] = []
    try:
        for path in paths:
            descriptor = opener(path)
            opened.append((descriptor, 0))
            opened[-1] = (descriptor, os.fstat(descriptor).st_size)
    except BaseException:
        _close_all(opened)
        raise
    return opened


def _close_all(opened: Sequence[tuple[int, int]]) -> None:
    for descriptor, _ in opened:
        os.close(descriptor)


def is_resident(descriptor: int, offset: int, length: int) -> bool:
    """Return whether a range can be read without waiting for a disk; False too where that cannot be told."""
    probe = bytearray(1)
    positions = [*range(offset, offset + length, _SAMPLE_EACH_BYTES), offset + length - 1] if length else []
    try:
        for position in positions:
            if not os.preadv(descriptor, (probe,), position, os.RWF_NOWAIT):
                return True  # the file ends before: there is nothing to wait for
    except OSError:
        return False
    return True


def is_in_memory(path: str) -> bool:
    """Return whether the file system of a path keeps its files in memory alone."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        for mount in mounts:
            fields = mount.split()
            if fields[2] == wanted:
                return fields[fields.index("-") + 1] in _IN_MEMORY
    return False


def _load_and_close(descriptor: int, offset: int, length: int) -> None:
    try:
        with translated():
            os.posix_fadvise(descriptor, offset, length + _READ_AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
            scratch = bytearray(256 * KIB)
            end = offset + length
            while offset < end and (count := os.preadv(descriptor, (scratch,), offset)):
                offset += count
    finally:
        os.close(descriptor)
