"""Open files of blobs, and whether the system has their bytes in memory."""
# Paths are text here: path objects would cost as much as the system calls.
# ruff: noqa: PTH116, PTH123

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

from hilum.kernel.errors import Unavailable
from hilum.kernel.limits import KIB, MIB

# A range counts as being in memory when a byte each so many bytes is: the system reads files ahead by that much.
_SAMPLE_EACH_BYTES: Final = 128 * KIB
# How much more is asked of the disk than is waited for.
_READ_AHEAD_BYTES: Final = 4 * MIB
_IN_MEMORY: Final = frozenset(("tmpfs", "ramfs"))


class OpenBlob:
    """A blob as an open file; implements `hilum.archive.blob_files.BlobFile`. It takes over the descriptor.

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


def prefetch(descriptor: int, length: int) -> None:
    """Let the system begin to read a file's beginning."""
    os.posix_fadvise(descriptor, 0, min(length, _READ_AHEAD_BYTES), os.POSIX_FADV_WILLNEED)


def _load_and_close(descriptor: int, offset: int, length: int) -> None:
    try:
        os.posix_fadvise(descriptor, offset, length + _READ_AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
        scratch = bytearray(256 * KIB)
        end = offset + length
        while offset < end and (count := os.preadv(descriptor, (scratch,), offset)):
            offset += count
    except OSError as error:
        raise Unavailable(f"the storage fails: {error.strerror}", code="storage-failed") from error
    finally:
        os.close(descriptor)
