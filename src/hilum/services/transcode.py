"""Stored instances in another transfer syntax: frames are converted on threads, several of one instance at a time."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import zlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Final, TypeVar

import numpy as np

from hilum.archive.model import StoredInstance
from hilum.archive.ports import BlobStore
from hilum.dicom.data_sets import write_data_set
from hilum.dicom.elements import Attributes
from hilum.dicom.encapsulation import ENCAPSULATION_ATTRIBUTES, SEQUENCE_END, encapsulated_head, fragment_head
from hilum.dicom.lossy_compression import LOSSY_ATTRIBUTES, compressed, derived, derived_instance_uid
from hilum.dicom.native_frames import pixel_word_bytes
from hilum.dicom.part10 import write_file_meta
from hilum.dicom.raw_elements import element_head, encoding_of, read_raw, swapped_words, write_raw
from hilum.dicom.uids import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax
from hilum.kernel.errors import CorruptData, LimitExceeded, NotFound, Unsupported
from hilum.kernel.limits import (
    BLOB_CHUNK_BYTES,
    MAX_TRANSCODED_BYTES,
    MAX_TRANSCODING_BYTES,
    MAX_TRANSCODINGS_IN_FLIGHT,
    RETRIEVE_READ_AHEAD_BYTES,
    TRANSCODING_SPOOL_BYTES,
)
from hilum.pixels.attributes import describe_pixels
from hilum.pixels.description import PixelDescription
from hilum.pixels.encoders import Loss, profile_of
from hilum.pixels.transcode import (
    IMAGE_ATTRIBUTES,
    NATIVE_SYNTAXES,
    ConvertedFrame,
    FrameTranscoder,
    Route,
    can_transcode,
    changed_attributes,
    has_embedded_overlays,
    is_lossy_encoding,
    route_of,
)
from hilum.services.allowance import Allowance
from hilum.services.stored_data_set import PixelValue, StoredDataSet, open_data_set

T = TypeVar("T")

# Stored, decoded, encoded, and what the codec library allocates meanwhile.
_COPIES_OF_A_FRAME: Final = 6
# Small frames of one instance are converted together up to this many bytes: a hop to a thread costs 0.1 ms.
_BYTES_PER_HOP: Final = 1024 * 1024
_LONGEST_NATIVE_VALUE: Final = 0xFFFFFFFE
_ICON_IMAGE_SEQUENCE: Final = "00880200"
_ENCAPSULATED_PIXELS: Final = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
_DEFLATE_LEVEL: Final = 6
# Transcoding yields to receiving and storing.
_NICENESS: Final = 10


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
        self._thread_count = thread_count or os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(
            self._thread_count, thread_name_prefix="transcode", initializer=_lower_priority
        )
        self._slots = asyncio.Semaphore(MAX_TRANSCODINGS_IN_FLIGHT)
        self._memory = Allowance(MAX_TRANSCODING_BYTES)
        self._spool_directory = spool_directory

    def close(self) -> None:
        """Let the threads end once they have finished what is under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def can(self, transfer_syntax_uid: str, target_transfer_syntax_uid: str) -> bool:
        """Return whether instances of the one syntax may become the other without loss.

        A particular instance may still not fit, for example because its samples are signed.
        """
        return can_transcode(transfer_syntax_uid, target_transfer_syntax_uid)

    def sop_instance_uid(self, instance: StoredInstance, transfer_syntax_uid: str, loss: Loss | None = None) -> str:
        """Return the SOP Instance UID that the instance has in the other transfer syntax: a new one if it loses.

        Reference: PS3.3 §C.7.6.1.1.5, PS3.4 §C.6
        """
        if loss is None or not is_lossy_encoding(transfer_syntax_uid, loss):
            return instance.sop_instance_uid
        return derived_instance_uid(instance.sop_instance_uid, transfer_syntax_uid, str(loss.quality))

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
                while len(ahead) <= self._thread_count and (following := next(coming, None)) is not None:
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
            if instance.frame_index is None or instance.blob.size_bytes > RETRIEVE_READ_AHEAD_BYTES:
                # Read as a whole, and a header taken apart; a large one with an index takes its header's share only.
                held = min(3 * instance.blob.size_bytes, MAX_TRANSCODING_BYTES // 4)
                await stack.enter_async_context(self._memory.share(held))
            data_set = await open_data_set(self._blobs, instance)
            pieces = self._pieces(data_set, instance, transfer_syntax_uid, route, loss)
            if transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
                pieces = self._deflated(pieces)
            async with aclosing(pieces) as content:
                async for piece in content:
                    yield piece

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
        if data_set.pixels is None:
            raise NotFound("The instance has no pixels.", code="no-pixels")
        attributes = data_set.attributes((*IMAGE_ATTRIBUTES, *LOSSY_ATTRIBUTES))
        transcoder = self._transcoder(instance, attributes, transfer_syntax_uid, loss)
        numbers = [number - 1 for number in frame_numbers]
        async with aclosing(self._converted(data_set, data_set.pixels, transcoder, numbers)) as frames:
            async for frame in frames:
                yield frame.data

    async def _pieces(
        self,
        data_set: StoredDataSet,
        instance: StoredInstance,
        target_uid: str,
        route: Route,
        loss: Loss | None,
    ) -> AsyncGenerator[bytes, None]:
        pixels = data_set.pixels
        if pixels is None:
            if target_uid not in NATIVE_SYNTAXES:
                raise Unsupported("What has no pixels cannot be encapsulated.", code="cannot-encode")
            yield await self._on_thread(partial(_header, data_set, {}, (), target_uid))
            return
        if pixels.is_encapsulated != transfer_syntax(instance.transfer_syntax_uid).is_encapsulated:
            raise CorruptData("The pixel data are not encoded as the file says.", code="not-transcodable")
        attributes = data_set.attributes((*IMAGE_ATTRIBUTES, *LOSSY_ATTRIBUTES))
        if route in (Route.COPY, Route.SWAP):
            pieces = self._reordered(data_set, pixels, attributes, target_uid, is_swapped=route is Route.SWAP)
        else:
            transcoder = self._transcoder(instance, attributes, target_uid, loss)
            count = transcoder.description.frame_count
            if pixels.frames.frame_count != count:
                raise CorruptData("There are not as many frames as the data set says.", code="not-transcodable")
            if route is Route.DECODE:
                pieces = self._decoded(data_set, pixels, attributes, transcoder)
            else:
                pieces = self._encapsulated(data_set, pixels, attributes, transcoder, instance)
        async with aclosing(pieces) as content:
            async for piece in content:
                yield piece
        if data_set.trailing:
            yield await self._on_thread(partial(write_raw, data_set.trailing, encoding_of(target_uid)))

    async def _reordered(
        self,
        data_set: StoredDataSet,
        pixels: PixelValue,
        attributes: Attributes,
        target_uid: str,
        *,
        is_swapped: bool,
    ) -> AsyncGenerator[bytes, None]:
        """Yield header and native pixel data in another encoding of elements, samples untouched."""
        target = encoding_of(target_uid)
        element = pixels.element
        yield await self._on_thread(partial(_header, data_set, {}, (), target_uid))
        length = element.length + element.length % 2
        yield element_head(element.tag, element.vr, length, target)
        word_bytes = 1
        if is_swapped:
            bits_allocated = attributes.get(IMAGE_ATTRIBUTES[6], {}).get("Value", [16])[0]
            word_bytes = pixel_word_bytes(element.vr, bits_allocated)
        async for chunk in data_set.chunks(element.value_offset, element.length):
            yield chunk if word_bytes == 1 else await self._on_thread(partial(swapped_words, chunk, word_bytes))
        if element.length % 2:
            yield b"\0"

    async def _decoded(
        self, data_set: StoredDataSet, pixels: PixelValue, attributes: Attributes, transcoder: FrameTranscoder
    ) -> AsyncGenerator[bytes, None]:
        """Yield header and native pixel data, each frame as it is decoded."""
        target_uid = transcoder.target_uid
        target = encoding_of(target_uid)
        count = pixels.frames.frame_count
        joiner: _BitJoiner | None = None
        written = word_bytes = 0
        async with aclosing(self._converted(data_set, pixels, transcoder, range(count))) as frames:
            async for frame in frames:
                description = frame.description
                if not word_bytes:
                    length = -(-description.native_frame_bits * count // 8)
                    length += length % 2
                    if length > _LONGEST_NATIVE_VALUE:
                        raise Unsupported("Native pixel data end at 4 GiB.", code="cannot-encode")
                    loss = _stored_loss(frame, pixels)
                    changes = changed_attributes(attributes, description, stored_loss=loss)
                    yield await self._on_thread(
                        partial(_header, data_set, changes, ENCAPSULATION_ATTRIBUTES, target_uid)
                    )
                    vr = "OW" if description.bits_allocated > 8 or target.is_implicit else "OB"
                    yield element_head("7FE00010", vr, length, target)
                    word_bytes = 1 if target.is_little_endian else pixel_word_bytes(vr, description.bits_allocated)
                    if description.native_frame_bits % 8:
                        joiner = _BitJoiner(description.native_frame_bits)
                data = frame.data if joiner is None else joiner.add(frame.data)
                written += len(data)
                yield swapped_words(data, word_bytes)
        rest = joiner.rest() if joiner is not None else b""
        yield rest + b"\0" * ((written + len(rest)) % 2)

    async def _encapsulated(
        self,
        data_set: StoredDataSet,
        pixels: PixelValue,
        attributes: Attributes,
        transcoder: FrameTranscoder,
        instance: StoredInstance,
    ) -> AsyncGenerator[bytes, None]:
        """Yield header, offset table and fragments, once all frames are encoded."""
        lengths: list[int] = []
        last: ConvertedFrame | None = None
        directory = str(self._spool_directory) if self._spool_directory is not None else None
        with SpooledTemporaryFile(max_size=TRANSCODING_SPOOL_BYTES, dir=directory) as spool:
            count = pixels.frames.frame_count
            async with aclosing(self._converted(data_set, pixels, transcoder, range(count))) as frames:
                async for frame in frames:
                    lengths.append(len(frame.data))
                    await self._spool(spool, frame.data + b"\0" * (len(frame.data) % 2))
                    last = frame
            if last is None:
                raise CorruptData("There are no frames.", code="not-transcodable")
            changes = changed_attributes(attributes, last.description, stored_loss=_stored_loss(last, pixels))
            loss = transcoder.loss
            profile = profile_of(transcoder.target_uid)
            if loss is not None and profile is not None and profile.method is not None:
                ratio = _native_bytes(last.description, count) / max(1, sum(lengths))
                changes |= compressed({**attributes, **changes}, profile.method, ratio)
                uid = self.sop_instance_uid(instance, transcoder.target_uid, loss)
                changes |= derived(attributes, uid)
            yield await self._on_thread(
                partial(_header, data_set, changes, ENCAPSULATION_ATTRIBUTES, transcoder.target_uid)
            )
            yield encapsulated_head(lengths)
            spool.seek(0)
            for length in lengths:
                padded = length + length % 2
                yield fragment_head(padded)
                while padded:
                    piece = await self._unspool(spool, min(padded, BLOB_CHUNK_BYTES))
                    padded -= len(piece)
                    yield piece
        yield SEQUENCE_END

    def _transcoder(
        self, instance: StoredInstance, attributes: Attributes, target_uid: str, loss: Loss | None
    ) -> FrameTranscoder:
        transcoder = FrameTranscoder(
            instance.transfer_syntax_uid,
            target_uid,
            describe_pixels(attributes),
            loss,
            has_embedded_overlays(attributes),
        )
        transcoder.check()
        return transcoder

    async def _converted(
        self, data_set: StoredDataSet, pixels: PixelValue, transcoder: FrameTranscoder, frame_indices: Sequence[int]
    ) -> AsyncGenerator[ConvertedFrame, None]:
        """Yield frames converted, in order; those of one batch at the same time."""
        description = transcoder.description
        is_big_endian = not transfer_syntax(transcoder.source_uid).is_little_endian
        word_bytes = pixel_word_bytes(pixels.element.vr, description.bits_allocated) if is_big_endian else 1
        frame_bytes = max(1, description.native_frame_bits // 8)
        per_hop = max(1, _BYTES_PER_HOP // frame_bytes)
        share = _COPIES_OF_A_FRAME * frame_bytes * per_hop * self._thread_count
        first: PixelDescription | None = None
        for batch in _runs(frame_indices, per_hop * self._thread_count):
            async with self._slots, self._memory.share(share):
                stored = [await data_set.frame(index, word_bytes) for index in batch]
                hops = [self._on_thread(partial(_convert_all, transcoder, run)) for run in _runs(stored, per_hop)]
                converted = [frame for frames in await asyncio.gather(*hops) for frame in frames]
            for frame in converted:
                first = first or frame.description
                if frame.description != first:
                    raise CorruptData("The frames of one instance differ in kind.", code="not-transcodable")
                yield frame

    async def _deflated(self, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        deflater = zlib.compressobj(_DEFLATE_LEVEL, wbits=-zlib.MAX_WBITS)
        written = 0
        async with aclosing(pieces) as content:
            async for piece in content:
                out = await self._on_thread(partial(deflater.compress, piece))
                written += len(out)
                if out:
                    yield out
        out = await self._on_thread(deflater.flush)
        yield out + b"\0" * ((written + len(out)) % 2)

    async def _spool(self, spool: SpooledTemporaryFile[bytes], data: bytes) -> None:
        if spool.tell() + len(data) <= TRANSCODING_SPOOL_BYTES:
            spool.write(data)
        else:
            await asyncio.to_thread(spool.write, data)

    async def _unspool(self, spool: SpooledTemporaryFile[bytes], length: int) -> bytes:
        piece = await asyncio.to_thread(spool.read, length) if spool.name is not None else spool.read(length)
        if not piece:
            raise CorruptData("A temporary file is shorter than what was written to it.", code="short-blob")
        return piece

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


class _BitJoiner:
    """Joins frames of single bits, which follow one another without padding (PS3.5 §8.1.1)."""

    def __init__(self, frame_bits: int) -> None:
        self._frame_bits = frame_bits
        self._carried = np.empty(0, np.uint8)

    def add(self, data: bytes) -> bytes:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), count=self._frame_bits, bitorder="little")
        bits = np.concatenate((self._carried, bits))
        whole = len(bits) // 8 * 8
        self._carried = bits[whole:]
        return np.packbits(bits[:whole], bitorder="little").tobytes()

    def rest(self) -> bytes:
        return np.packbits(self._carried, bitorder="little").tobytes()


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


def _header(data_set: StoredDataSet, changes: Attributes, removed: Sequence[str], target_uid: str) -> bytes:
    """Return what stands before the pixel data, changed and in the target's encoding."""
    target = encoding_of(target_uid)
    raw = data_set.raw
    icon = raw.find(_ICON_IMAGE_SEQUENCE)
    if icon is not None and _ENCAPSULATED_PIXELS in icon.data[icon.start : icon.after]:
        # Such an icon is encoded as the stored frames are; it shows nothing that they do not.
        removed = (*removed, _ICON_IMAGE_SEQUENCE)
    new = read_raw(write_data_set(changes, EXPLICIT_VR_LITTLE_ENDIAN), encoding_of(EXPLICIT_VR_LITTLE_ENDIAN))
    return write_raw(raw.replaced(new.elements, removed), target)


def _stored_loss(frame: ConvertedFrame, pixels: PixelValue) -> tuple[str, float] | None:
    if frame.method is None:
        return None
    stored = pixels.end - pixels.frames.first_offset
    return frame.method, _native_bytes(frame.description, pixels.frames.frame_count) / max(1, stored)


def _native_bytes(description: PixelDescription, frame_count: int) -> float:
    """Return the size of frames that nothing was left out of, shared chrominance neither."""
    return description.sample_count * description.bits_allocated * frame_count / 8


def _convert_all(transcoder: FrameTranscoder, frames: Sequence[bytes]) -> list[ConvertedFrame]:
    return [transcoder.convert(data) for data in frames]


def _runs(items: Sequence[T], length: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), length):
        yield items[start : start + length]


def _lower_priority() -> None:
    """Let this thread yield to others; only Linux has priorities of single threads."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
