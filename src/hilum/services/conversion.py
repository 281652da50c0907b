"""One stored instance on its way to another transfer syntax: header, frames on threads, offset tables, padding."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Final, TypeVar

import numpy as np

from hilum.archive.model import StoredInstance
from hilum.dicom.data_sets import write_data_set
from hilum.dicom.dictionary import tag_of
from hilum.dicom.elements import Attributes
from hilum.dicom.encapsulation import ENCAPSULATION_ATTRIBUTES, SEQUENCE_END, encapsulated_head, fragment_head
from hilum.dicom.lossy_compression import LOSSY_ATTRIBUTES, compressed, derived, derived_instance_uid
from hilum.dicom.native_frames import pixel_word_bytes
from hilum.dicom.raw_elements import element_head, encoding_of, read_raw, swapped_words, write_raw
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax
from hilum.kernel.errors import CorruptData, NotFound, Unsupported
from hilum.kernel.limits import (
    BLOB_CHUNK_BYTES,
    MAX_TRANSCODING_BYTES,
    MAX_TRANSCODINGS_IN_FLIGHT,
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
    changed_attributes,
    has_embedded_overlays,
    is_lossy_encoding,
)
from hilum.services.allowance import Allowance
from hilum.services.stored_data_set import PixelValue, StoredDataSet

T = TypeVar("T")

# Stored, decoded, encoded, and what the codec library allocates meanwhile.
_COPIES_OF_A_FRAME: Final = 6
# Small frames of one instance are converted together up to this many bytes: a hop to a thread costs 0.1 ms.
_BYTES_PER_HOP: Final = 1024 * 1024
_LONGEST_NATIVE_VALUE: Final = 0xFFFFFFFE
_ICON_IMAGE_SEQUENCE: Final = "00880200"
_ENCAPSULATED_PIXELS: Final = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
# Transcoding yields to receiving and storing.
_NICENESS: Final = 10


class Workshop:
    """The threads that convert frames, and how much may be under way.

    Args:
        thread_count: how many frames are worked on at the same time; by default one for each processor.
        spool_directory: for the temporary files; the system's if None.
    """

    def __init__(self, thread_count: int | None, spool_directory: Path | None) -> None:
        self.thread_count = thread_count or os.cpu_count() or 1
        self.spool_directory = spool_directory
        self.slots = asyncio.Semaphore(MAX_TRANSCODINGS_IN_FLIGHT)
        # Two amounts: who holds of the first waits for the second, and nobody the other way round.
        self.whole_instances = Allowance(MAX_TRANSCODING_BYTES // 2)
        self.frames = Allowance(MAX_TRANSCODING_BYTES // 2)
        self._threads = ThreadPoolExecutor(
            self.thread_count, thread_name_prefix="transcode", initializer=_lower_priority
        )

    def close(self) -> None:
        """Let the threads end once they have finished what is under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what the work gives, done on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def sop_instance_uid_of(instance: StoredInstance, transfer_syntax_uid: str, loss: Loss | None) -> str:
    """Return the SOP Instance UID that an instance has in another transfer syntax: a new one if it loses."""
    if loss is None or not is_lossy_encoding(transfer_syntax_uid, loss):
        return instance.sop_instance_uid
    return derived_instance_uid(instance.sop_instance_uid, transfer_syntax_uid, str(loss.quality))


class Conversion:
    """Converts one opened instance.

    Args:
        workshop: does the work.
        data_set: the instance's, opened.
        instance: as it is stored.
        target_uid: the transfer syntax it becomes.
        loss: what may be lost.
    """

    def __init__(
        self, workshop: Workshop, data_set: StoredDataSet, instance: StoredInstance, target_uid: str, loss: Loss | None
    ) -> None:
        self._workshop = workshop
        self._data_set = data_set
        self._instance = instance
        self._target_uid = target_uid
        self._loss = loss

    async def pieces(self, route: Route) -> AsyncGenerator[bytes, None]:
        """Yield the data set converted.

        Raises:
            Unsupported: what it holds does not fit the transfer syntax.
            CorruptData: it cannot be read.
        """
        data_set = self._data_set
        pixels = data_set.pixels
        if pixels is None:
            if self._target_uid not in NATIVE_SYNTAXES:
                raise Unsupported("What has no pixels cannot be encapsulated.", code="cannot-encode")
            yield await self._workshop.run(partial(header_of, data_set, {}, (), self._target_uid))
            return
        if pixels.is_encapsulated != transfer_syntax(self._instance.transfer_syntax_uid).is_encapsulated:
            raise CorruptData("The pixel data are not encoded as the file says.", code="not-transcodable")
        attributes = data_set.attributes((*IMAGE_ATTRIBUTES, *LOSSY_ATTRIBUTES))
        if route in (Route.COPY, Route.SWAP):
            pieces = self._reordered(pixels, attributes, is_swapped=route is Route.SWAP)
        else:
            transcoder = self._transcoder(attributes)
            count = transcoder.description.frame_count
            if pixels.frames.frame_count != count:
                raise CorruptData("There are not as many frames as the data set says.", code="not-transcodable")
            if route is Route.DECODE:
                pieces = self._decoded(pixels, attributes, transcoder)
            else:
                pieces = self._encapsulated(pixels, attributes, transcoder)
        async with aclosing(pieces) as content:
            async for piece in content:
                yield piece
        if data_set.trailing:
            yield await self._workshop.run(partial(write_raw, data_set.trailing, encoding_of(self._target_uid)))

    async def frames(self, frame_numbers: Sequence[int]) -> AsyncGenerator[bytes, None]:
        """Yield frames converted, 1-based.

        Raises:
            NotFound: the instance has no pixels, or not that many frames.
            As `pieces` does.
        """
        pixels = self._data_set.pixels
        if pixels is None:
            raise NotFound("The instance has no pixels.", code="no-pixels")
        transcoder = self._transcoder(self._data_set.attributes((*IMAGE_ATTRIBUTES, *LOSSY_ATTRIBUTES)))
        numbers = [number - 1 for number in frame_numbers]
        async with aclosing(self._converted(pixels, transcoder, numbers)) as frames:
            async for frame in frames:
                yield frame.data

    async def _reordered(
        self, pixels: PixelValue, attributes: Attributes, *, is_swapped: bool
    ) -> AsyncGenerator[bytes, None]:
        """Yield header and native pixel data in another encoding of elements, samples untouched."""
        data_set = self._data_set
        target = encoding_of(self._target_uid)
        element = pixels.element
        yield await self._workshop.run(partial(header_of, data_set, {}, (), self._target_uid))
        length = element.length + element.length % 2
        yield element_head(element.tag, element.vr, length, target)
        word_bytes = 1
        if is_swapped:
            bits_allocated = attributes.get(tag_of("BitsAllocated"), {}).get("Value", [16])[0]
            word_bytes = pixel_word_bytes(element.vr, bits_allocated)
        async for chunk in data_set.chunks(element.value_offset, element.length):
            yield chunk if word_bytes == 1 else await self._workshop.run(partial(swapped_words, chunk, word_bytes))
        if element.length % 2:
            yield b"\0"

    async def _decoded(
        self, pixels: PixelValue, attributes: Attributes, transcoder: FrameTranscoder
    ) -> AsyncGenerator[bytes, None]:
        """Yield header and native pixel data, each frame as it is decoded."""
        target = encoding_of(self._target_uid)
        count = pixels.frames.frame_count
        joiner: BitJoiner | None = None
        written = word_bytes = 0
        async with aclosing(self._converted(pixels, transcoder, range(count))) as frames:
            async for frame in frames:
                description = frame.description
                if not word_bytes:
                    length = -(-description.native_frame_bits * count // 8)
                    length += length % 2
                    if length > _LONGEST_NATIVE_VALUE:
                        raise Unsupported("Native pixel data end at 4 GiB.", code="cannot-encode")
                    loss = _stored_loss(frame, pixels)
                    changes = changed_attributes(attributes, description, stored_loss=loss)
                    yield await self._workshop.run(
                        partial(header_of, self._data_set, changes, ENCAPSULATION_ATTRIBUTES, self._target_uid)
                    )
                    vr = "OW" if description.bits_allocated > 8 or target.is_implicit else "OB"
                    yield element_head("7FE00010", vr, length, target)
                    word_bytes = 1 if target.is_little_endian else pixel_word_bytes(vr, description.bits_allocated)
                    if description.native_frame_bits % 8:
                        joiner = BitJoiner(description.native_frame_bits)
                data = frame.data if joiner is None else joiner.add(frame.data)
                written += len(data)
                yield swapped_words(data, word_bytes)
        rest = joiner.rest() if joiner is not None else b""
        yield rest + b"\0" * ((written + len(rest)) % 2)

    async def _encapsulated(
        self, pixels: PixelValue, attributes: Attributes, transcoder: FrameTranscoder
    ) -> AsyncGenerator[bytes, None]:
        """Yield header, offset table and fragments, once all frames are encoded."""
        lengths: list[int] = []
        last: ConvertedFrame | None = None
        directory = str(self._workshop.spool_directory) if self._workshop.spool_directory is not None else None
        with SpooledTemporaryFile(max_size=TRANSCODING_SPOOL_BYTES, dir=directory) as spool:
            count = pixels.frames.frame_count
            async with aclosing(self._converted(pixels, transcoder, range(count))) as frames:
                async for frame in frames:
                    lengths.append(len(frame.data))
                    await self._spool(spool, frame.data + b"\0" * (len(frame.data) % 2))
                    last = frame
            if last is None:
                raise CorruptData("There are no frames.", code="not-transcodable")
            changes = changed_attributes(attributes, last.description, stored_loss=_stored_loss(last, pixels))
            profile = profile_of(self._target_uid)
            if self._loss is not None and profile is not None and profile.method is not None:
                ratio = _native_bytes(last.description, count) / max(1, sum(lengths))
                changes |= compressed({**attributes, **changes}, profile.method, ratio)
                changes |= derived(attributes, sop_instance_uid_of(self._instance, self._target_uid, self._loss))
            yield await self._workshop.run(
                partial(header_of, self._data_set, changes, ENCAPSULATION_ATTRIBUTES, self._target_uid)
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

    def _transcoder(self, attributes: Attributes) -> FrameTranscoder:
        transcoder = FrameTranscoder(
            self._instance.transfer_syntax_uid,
            self._target_uid,
            describe_pixels(attributes),
            self._loss,
            has_embedded_overlays(attributes),
        )
        transcoder.check()
        return transcoder

    async def _converted(
        self, pixels: PixelValue, transcoder: FrameTranscoder, frame_indices: Sequence[int]
    ) -> AsyncGenerator[ConvertedFrame, None]:
        """Yield frames converted, in order; those of one batch at the same time."""
        description = transcoder.description
        is_big_endian = not transfer_syntax(transcoder.source_uid).is_little_endian
        word_bytes = pixel_word_bytes(pixels.element.vr, description.bits_allocated) if is_big_endian else 1
        frame_bytes = max(1, description.native_frame_bits // 8)
        per_hop = max(1, _BYTES_PER_HOP // frame_bytes)
        share = _COPIES_OF_A_FRAME * frame_bytes * per_hop * self._workshop.thread_count
        first: PixelDescription | None = None
        for batch in _runs(frame_indices, per_hop * self._workshop.thread_count):
            async with self._workshop.slots, self._workshop.frames.share(share):
                stored = [await self._data_set.frame(index, word_bytes) for index in batch]
                hops = [self._workshop.run(partial(_convert_all, transcoder, run)) for run in _runs(stored, per_hop)]
                converted = [frame for frames in await asyncio.gather(*hops) for frame in frames]
            for frame in converted:
                first = first or frame.description
                if frame.description != first:
                    raise CorruptData("The frames of one instance differ in kind.", code="not-transcodable")
                yield frame

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


class BitJoiner:
    """Joins frames of single bits, which follow one another without padding (PS3.5 §8.1.1)."""

    def __init__(self, frame_bits: int) -> None:
        self._frame_bits = frame_bits
        self._carried = np.empty(0, np.uint8)

    def add(self, data: bytes) -> bytes:
        """Return the whole bytes that are there with one more frame."""
        bits = np.unpackbits(np.frombuffer(data, np.uint8), count=self._frame_bits, bitorder="little")
        bits = np.concatenate((self._carried, bits))
        whole = len(bits) // 8 * 8
        self._carried = bits[whole:]
        return np.packbits(bits[:whole], bitorder="little").tobytes()

    def rest(self) -> bytes:
        """Return the bits that make no whole byte, filled up with zeros."""
        return np.packbits(self._carried, bitorder="little").tobytes()


def header_of(data_set: StoredDataSet, changes: Attributes, removed: Sequence[str], target_uid: str) -> bytes:
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
