"""Stored instances in another transfer syntax: frames are converted on threads, several of one instance at a time."""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from hilum.archive.model import StoredInstance
from hilum.archive.ports import BlobStore
from hilum.dicom.part10 import write_file_meta
from hilum.dicom.uids import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax
from hilum.kernel.errors import LimitExceeded, Unsupported
from hilum.kernel.limits import (
    MAX_TRANSCODED_BYTES,
    RETRIEVE_READ_AHEAD_BYTES,
    TRANSCODING_SPOOL_BYTES,
)
from hilum.pixels.encoders import Loss
from hilum.pixels.transcode import Route, can_transcode, route_of
from hilum.services.conversion import Conversion, Workshop, sop_instance_uid_of
from hilum.services.stored_data_set import StoredDataSet, open_data_set

_DEFLATE_LEVEL: Final = 6


class TranscodeService:
    """Gives stored instances, and frames of them, in another transfer syntax.

    Frames are decoded and encoded on threads of low priority; of one instance as many at a time as there are threads.
    Memory is bounded by `limits.MAX_TRANSCODING_BYTES` for all work under way together; encoded frames wait in a
    temporary file once there are more than `limits.TRANSCODING_SPOOL_BYTES` of them.

    Args:
        blobs: where instances lie.
        thread_count: how many frames are worked on at the same time; by default one for each processor.
        spool_directory: for the temporary files; the system's if None.
    """

    def __init__(
        self, blobs: BlobStore, *, thread_count: int | None = None, spool_directory: Path | None = None
    ) -> None:
        self._blobs = blobs
        self._workshop = Workshop(thread_count, spool_directory)

    def close(self) -> None:
        """Let the threads end once they have finished what is under way."""
        self._workshop.close()

    def can(self, transfer_syntax_uid: str, target_transfer_syntax_uid: str) -> bool:
        """Return whether instances of the one syntax may become the other without loss.

        A particular instance may still not fit, for example because its samples are signed.
        """
        return can_transcode(transfer_syntax_uid, target_transfer_syntax_uid)

    def sop_instance_uid(self, instance: StoredInstance, transfer_syntax_uid: str, loss: Loss | None = None) -> str:
        """Return the SOP Instance UID that the instance has in the other transfer syntax: a new one if it loses.

        Reference: PS3.3 §C.7.6.1.1.5, PS3.4 §C.6
        """
        return sop_instance_uid_of(instance, transfer_syntax_uid, loss)

    async def data_set(self, instance: StoredInstance, transfer_syntax_uid: str, *, loss: Loss | None = None) -> bytes:
        """Return the whole data set in that transfer syntax, its header changed to fit.

        Raises:
            As `stream` does; LimitExceeded also for what comes to more than `limits.MAX_TRANSCODED_BYTES`.
        """
        pieces: list[bytes] = []
        size_bytes = 0
        async with aclosing(self.stream(instance, transfer_syntax_uid, loss=loss)) as content:
            async for piece in content:
                pieces.append(piece)
                size_bytes += len(piece)
                if size_bytes > MAX_TRANSCODED_BYTES:
                    raise LimitExceeded(
                        f"What comes to more than {MAX_TRANSCODED_BYTES} bytes is not held in memory.",
                        code="too-large-to-transcode",
                        limit=MAX_TRANSCODED_BYTES,
                    )
        return b"".join(pieces)

    async def part10(
        self, instance: StoredInstance, transfer_syntax_uid: str, *, loss: Loss | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield the Part 10 file of the instance in that transfer syntax.

        Raises:
            As `stream` does.

        Reference: PS3.10 §7
        """
        uid = self.sop_instance_uid(instance, transfer_syntax_uid, loss)
        async with aclosing(self.stream(instance, transfer_syntax_uid, loss=loss)) as content:
            first = await anext(content, b"")
            yield write_file_meta(instance.sop_class_uid, uid, transfer_syntax_uid) + first
            async for piece in content:
                yield piece

    async def part10_of_all(
        self, wanted: Sequence[tuple[StoredInstance, str, Loss | None]]
    ) -> AsyncGenerator[AsyncGenerator[bytes, None] | None, None]:
        """Yield the Part 10 file of each instance in its transfer syntax, in order; None for what does not fit it.

        Small instances are made ahead, as many at a time as there are threads, each up to
        `limits.TRANSCODING_SPOOL_BYTES`.

        Raises:
            As `stream` does, but for Unsupported.
        """
        ahead: deque[asyncio.Task[_Begun | None] | None] = deque()
        coming = iter(wanted)
        try:
            for one in wanted:
                while len(ahead) <= self._workshop.thread_count and (following := next(coming, None)) is not None:
                    if following[0].blob.size_bytes <= RETRIEVE_READ_AHEAD_BYTES:
                        ahead.append(asyncio.ensure_future(self._begin(*following, TRANSCODING_SPOOL_BYTES)))
                    else:
                        ahead.append(None)
                task = ahead.popleft()
                begun = await (task if task is not None else self._begin(*one, 1))
                yield begun.content() if begun is not None else None
        finally:
            for task in ahead:
                if task is not None:
                    task.cancel()
            for left in await asyncio.gather(*filter(None, ahead), return_exceptions=True):
                if isinstance(left, _Begun):
                    await left.rest.aclose()

    async def _begin(
        self, instance: StoredInstance, transfer_syntax_uid: str, loss: Loss | None, size_bytes: int
    ) -> _Begun | None:
        """Make a file up to a size; None for what does not fit the transfer syntax."""
        content = self.part10(instance, transfer_syntax_uid, loss=loss)
        pieces: list[bytes] = []
        made = 0
        try:
            async for piece in content:
                pieces.append(piece)
                made += len(piece)
                if made >= size_bytes:
                    break
        except Unsupported:
            return None
        return _Begun(pieces, content)

    async def stream(
        self, instance: StoredInstance, transfer_syntax_uid: str, *, loss: Loss | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield the data set in that transfer syntax, flat in memory.

        Nothing is yielded before the last frame is encoded, when frames are encoded; decoded ones leave as they are
        made. Look the instance up with its frame index: without it the whole of it is read into memory.

        Args:
            instance: what is stored.
            transfer_syntax_uid: what it becomes.
            loss: allows that information is lost where the transfer syntax does so. The result is an instance of its
                own then, see `sop_instance_uid`.

        Raises:
            Unsupported: there is no way, or the samples do not fit; nothing is ever changed to make them fit.
            CorruptData: data set or frames cannot be read.
            LimitExceeded: they are larger than we work on.
            InvalidInput: the image attributes contradict each other.

        Reference: PS3.5 §8.2, Annex A; PS3.3 §C.7.6.3; PS3.18 §8.7.3.5
        """
        route = route_of(instance.transfer_syntax_uid, transfer_syntax_uid, loss)
        is_same = transfer_syntax_uid == instance.transfer_syntax_uid
        if route is Route.COPY and (is_same or transfer_syntax(transfer_syntax_uid).is_encapsulated):
            offset = instance.blob.data_set_offset
            async for chunk in self._blobs.stream(instance.blob.key, offset):
                yield chunk
            return
        async with AsyncExitStack() as stack:
            is_deflated = transfer_syntax(instance.transfer_syntax_uid).is_deflated
            if instance.blob.size_bytes > RETRIEVE_READ_AHEAD_BYTES and (instance.frame_index is None or is_deflated):
                # The whole of it is in memory until its last byte is taken.
                await stack.enter_async_context(self._workshop.whole_instances.share(2 * instance.blob.size_bytes))
            data_set = await open_data_set(self._blobs, instance)
            pieces = Conversion(self._workshop, data_set, instance, transfer_syntax_uid, loss).pieces(route)
            async with aclosing(self.deflated(pieces, transfer_syntax_uid)) as content:
                async for piece in content:
                    yield piece

    def convert(
        self, data_set: StoredDataSet, instance: StoredInstance, transfer_syntax_uid: str
    ) -> AsyncGenerator[bytes, None]:
        """Return the pieces of a data set that is open already, in another transfer syntax, without loss.

        Raises:
            Unsupported: there is no way. What comes later is as in `stream`.
        """
        route = route_of(instance.transfer_syntax_uid, transfer_syntax_uid)
        pieces = Conversion(self._workshop, data_set, instance, transfer_syntax_uid, None).pieces(route)
        return self.deflated(pieces, transfer_syntax_uid)

    def deflated(self, pieces: AsyncGenerator[bytes, None], transfer_syntax_uid: str) -> AsyncGenerator[bytes, None]:
        """Return the pieces as the transfer syntax has them: deflated if it is that one.

        Reference: PS3.5 §A.5
        """
        return self._deflated(pieces) if transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN else pieces

    async def frames(
        self,
        instance: StoredInstance,
        frame_numbers: Sequence[int],
        transfer_syntax_uid: str,
        *,
        loss: Loss | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Yield frames in another transfer syntax, each from a byte's beginning; native ones little endian.

        Args:
            frame_numbers: 1-based.

        Raises:
            NotFound: the instance has no pixels, or not that many frames.
            As `stream` does.

        Reference: PS3.18 §10.4.1.4
        """
        data_set = await open_data_set(self._blobs, instance)
        conversion = Conversion(self._workshop, data_set, instance, transfer_syntax_uid, loss)
        async with aclosing(conversion.frames(frame_numbers)) as frames:
            async for frame in frames:
                yield frame

    async def _deflated(self, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        deflater = zlib.compressobj(_DEFLATE_LEVEL, wbits=-zlib.MAX_WBITS)
        written = 0
        async with aclosing(pieces) as content:
            async for piece in content:
                out = await self._workshop.run(partial(deflater.compress, piece))
                written += len(out)
                if out:
                    yield out
        out = await self._workshop.run(deflater.flush)
        yield out + b"\0" * ((written + len(out)) % 2)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A file whose beginning is made."""

    pieces: list[bytes]
    rest: AsyncGenerator[bytes, None]

    async def content(self) -> AsyncGenerator[bytes, None]:
        async with aclosing(self.rest):
            for piece in self.pieces:
                yield piece
            async for piece in self.rest:
                yield piece
