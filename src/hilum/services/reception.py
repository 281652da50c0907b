"""The bytes of one data set on their way in: in memory while it is small, in a staging file once it is large."""

from __future__ import annotations

import asyncio
import mmap
import os
import shutil
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, ParamSpec, TypeAlias, TypeVar

from blake3 import blake3

from hilum.dicom.header import Header, HeaderReader
from hilum.dicom.uids import transfer_syntax
from hilum.kernel.errors import HilumError, InvalidInput, LimitExceeded, LocalProtocolError
from hilum.kernel.limits import (
    LOOP_PARSE_BYTES,
    MAX_INSTANCE_BYTES,
    SPILL_CHUNK_BYTES,
    STAGING_MEMORY_BYTES,
)
from hilum.services.staging import StagingDirectory, translated

Buffer: TypeAlias = bytes | bytearray | memoryview
P = ParamSpec("P")
R = TypeVar("R")

_FIRST_LOOK_BYTES: Final = 16 * 1024
_NEVER: Final = MAX_INSTANCE_BYTES + 1
# Enough to meet the SOP Instance UID, which stands among the first elements (PS3.5 §7.1: ascending tags).
_IDENTITY_BYTES: Final = 64 * 1024
# Room for file meta information when the first bytes do not tell its length.
_ASSUMED_META_BYTES: Final = 512


@dataclass(slots=True)
class _Spill:
    """A staging file: room for `meta_bytes` of file meta information, then the data set."""

    path: Path
    descriptor: int
    meta_bytes: int


class Reception:
    """Takes the data set of one instance piece by piece.

    What goes wrong underway is kept until `header`, so that the sender can be heard to the end; nothing more is kept
    of its bytes meanwhile.

    Args:
        make_meta: makes the file meta information that belongs to a header.
    """

    def __init__(
        self,
        transfer_syntax_uid: str,
        staging: StagingDirectory,
        threads: Executor,
        make_meta: Callable[[Header], bytes],
    ) -> None:
        self._transfer_syntax_uid = transfer_syntax_uid
        self._staging = staging
        self._threads = threads
        self._make_meta = make_meta
        syntax = transfer_syntax(transfer_syntax_uid)
        # A few deflated bytes may inflate to millions, a few kilobytes hold thousands of fragments: no work for the
        # event loop.
        self._is_deflated, self._is_encapsulated = syntax.is_deflated, syntax.is_encapsulated
        self._next_look = _NEVER if syntax.is_deflated else _FIRST_LOOK_BYTES
        self._reader = HeaderReader(transfer_syntax_uid)
        self._is_header_read = False
        self._buffer = bytearray()
        self._hash = blake3()
        self._spill: _Spill | None = None
        self._spilling: asyncio.Future[HilumError | None] | None = None
        self._failure: HilumError | None = None
        self.size_bytes = 0

    @property
    def is_spilled(self) -> bool:
        """Whether the data set lies in a staging file instead of in memory."""
        return self._spilling is not None

    @property
    def content(self) -> bytearray:
        """The whole data set, if it is not spilled."""
        return self._buffer

    def fail(self, error: HilumError) -> None:
        """Refuse the data set whatever else comes; the first failure counts."""
        if self._failure is None:
            self._failure = error
        self._buffer = bytearray()

    def write(self, data: Buffer) -> Awaitable[None] | None:
        """Take a copy of the next bytes; an awaitable is returned when the staging disk has to catch up first."""
        self.size_bytes += len(data)
        if self._failure is not None:
            return None
        if self.size_bytes > MAX_INSTANCE_BYTES:
            self.fail(
                LimitExceeded(
                    "the instance is larger than this archive takes", code="instance-size", limit=MAX_INSTANCE_BYTES
                )
            )
            return None
        self._buffer += data
        # At several GB/s cheaper here, while more is on its way, than the way to a thread and back.
        self._hash.update(data)
        if self.size_bytes >= self._next_look:
            self._look()
        if self._spilling is None:
            if len(self._buffer) > STAGING_MEMORY_BYTES:
                self._flush()
        elif len(self._buffer) >= SPILL_CHUNK_BYTES:
            if not self._spilling.done():
                return self._catch_up()
            self._flush()
        return None

    async def header(self) -> Header:
        """Return the header of the data set, which is now complete.

        Raises:
            HilumError: what was wrong with the data set, or with staging it.
        """
        while self._spilling is not None and (self._buffer or not self._spilling.done()):
            await self._catch_up()
        self._note_spill_failure()
        if self._failure is not None:
            raise self._failure
        if not self.size_bytes:
            raise InvalidInput("there is no data set", code="empty-data-set")
        if self._spill is not None:
            return await self._in_thread(self._read_spilled, self._spill)
        is_short = self.size_bytes <= LOOP_PARSE_BYTES and not self._is_deflated
        if is_short or (self._is_header_read and not self._is_encapsulated):
            return self._reader.finish(self._buffer)
        return await self._in_thread(self._reader.finish, self._buffer)

    def digest(self) -> bytes:
        """Return the BLAKE3 digest of what has come."""
        return self._hash.digest()

    async def staged_file(self, meta: bytes) -> str:
        """Return the path of the staging file, now with the file meta information in front of the data set."""
        if self._spill is None:
            raise LocalProtocolError("the data set is in memory")
        return await self._in_thread(self._complete, self._spill, meta)

    async def discard(self) -> None:
        """Nothing of the data set remains here; safe to call at any time."""
        self.fail(LocalProtocolError("the data set was given up"))
        if self._spilling is not None:
            await asyncio.wait([self._spilling])
        if self._spill is not None:
            spill, self._spill = self._spill, None
            await self._in_thread(_remove, spill)

    def _look(self) -> None:
        """Read the header as far as it is there, while the rest is on its way."""
        try:
            self._is_header_read = self._reader.read_prefix(self._buffer)
        except HilumError as error:
            self.fail(error)
        is_hopeless = self._is_header_read or self.size_bytes >= LOOP_PARSE_BYTES
        self._next_look = _NEVER if is_hopeless else LOOP_PARSE_BYTES

    def _flush(self) -> None:
        self._note_spill_failure()
        if self._failure is not None:
            return
        buffer, self._buffer = self._buffer, bytearray()
        self._next_look = _NEVER
        loop = asyncio.get_running_loop()
        self._spilling = loop.run_in_executor(self._threads, self._append, buffer)

    async def _catch_up(self) -> None:
        """Wait for the staging disk, then give it what has come meanwhile."""
        if self._spilling is not None:
            await asyncio.wait([self._spilling])
        if self._buffer:
            self._flush()

    def _note_spill_failure(self) -> None:
        if self._spilling is not None and self._spilling.done():
            error = self._spilling.result()
            if error is not None:
                self.fail(error)

    def _append(self, buffer: bytearray) -> HilumError | None:
        """Write to the staging file (in a thread); what goes wrong is returned, as nobody may be waiting yet."""
        try:
            if self._spill is None:
                meta_bytes = self._guess_meta_bytes(buffer)
                with translated():
                    path = self._staging.new_spill_path()
                    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
                    self._spill = _Spill(path, descriptor, meta_bytes)
                    os.lseek(descriptor, meta_bytes, os.SEEK_SET)
            with translated():
                _write_all(self._spill.descriptor, buffer)
        except HilumError as error:
            return error
        return None

    def _guess_meta_bytes(self, buffer: bytearray) -> int:
        try:
            first = HeaderReader(self._transfer_syntax_uid).finish(bytes(buffer[:_IDENTITY_BYTES]))
            return len(self._make_meta(first))
        except HilumError:
            return _ASSUMED_META_BYTES

    def _read_spilled(self, spill: _Spill) -> Header:
        # Not closed by hand: it goes with the last view of it, which an error's traceback may hold for a while.
        content = mmap.mmap(spill.descriptor, 0, access=mmap.ACCESS_READ)
        return self._reader.finish(memoryview(content)[spill.meta_bytes :])

    def _complete(self, spill: _Spill, meta: bytes) -> str:
        with translated():
            if len(meta) == spill.meta_bytes:
                os.pwrite(spill.descriptor, meta, 0)
                return str(spill.path)
            # Rare: the first bytes did not tell the identity, so the data set has to move by some bytes.
            moved = self._staging.new_spill_path()
            try:
                with moved.open("xb") as target, spill.path.open("rb") as source:
                    target.write(meta)
                    source.seek(spill.meta_bytes)
                    shutil.copyfileobj(source, target, SPILL_CHUNK_BYTES)
                moved.replace(spill.path)
            except BaseException:
                moved.unlink(missing_ok=True)
                raise
            return str(spill.path)

    async def _in_thread(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        assert not kwargs
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def _write_all(descriptor: int, buffer: bytearray) -> None:
    with memoryview(buffer) as view:
        written = 0
        while written < len(view):
            written += os.write(descriptor, view[written:])


def _remove(spill: _Spill) -> None:
    os.close(spill.descriptor)
    try:
        spill.path.unlink(missing_ok=True)
    except OSError:
        pass  # an instance that is stored stays stored; the next worker with this directory removes the file
