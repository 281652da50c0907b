"""Retrieve: stored bytes as they lie, frames and large values by range reads."""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Final

from hilum.archive.model import SeriesMetadata, StoredInstance
from hilum.archive.ports import BlobStore, InstanceIndex
from hilum.archive.query import InstanceSelection
from hilum.dicom.bulk_locator import BulkLocator
from hilum.dicom.elements import BULK_DATA_PREFIX, BulkLocation
from hilum.dicom.frames import FrameIndex
from hilum.dicom.header import read_header
from hilum.dicom.inflate import Inflater
from hilum.dicom.native_frames import aligned, frame_of_words, pixel_word_bytes, words_of_frame
from hilum.dicom.uids import transfer_syntax
from hilum.kernel.errors import CorruptData, LimitExceeded, LocalProtocolError, NotFound
from hilum.kernel.files import Content, FilePiece
from hilum.kernel.limits import (
    BLOB_CHUNK_BYTES,
    MAX_INFLATED_BYTES,
    MAX_RETRIEVED_INSTANCES,
    RETRIEVE_READ_AHEAD_BYTES,
)
from hilum.services.metadata import MetadataMaker
from hilum.services.open_files import file_pieces, open_range, opened_in_turn
from hilum.services.outgoing import in_even_pieces

# Codes of the module `array` by VR, for values that are sequences of numbers (PS3.5 §7.3).
_NUMBER_CODES: Final = {
    **dict.fromkeys(("OW", "US", "SS"), "H"),
    **dict.fromkeys(("OL", "OF", "UL", "SL", "FL"), "I"),
    **dict.fromkeys(("OV", "OD", "UV", "SV", "FD"), "Q"),
    "AT": "H",
}
# Larger files are streamed, smaller ones are read at once and ahead.
_WHOLE_FILE_BYTES: Final = RETRIEVE_READ_AHEAD_BYTES
# Tag, VR, reserved bytes and length before pixel data in explicit VR.
_LONG_HEAD_BYTES: Final = 12
# Small frames, or fragments of a large one, that are read together.
_RANGES_PER_READ: Final = 8


class RetrieveService:
    """Gives back what is stored. Instances of other tenants are not there."""

    def __init__(self, index: InstanceIndex, blobs: BlobStore) -> None:
        self._index = index
        self._blobs = blobs
        self._metadata = MetadataMaker(index)

    async def instances(
        self,
        tenant_id: int,
        study_instance_uid: str,
        series_instance_uid: str | None = None,
        sop_instance_uid: str | None = None,
        *,
        with_frame_index: bool = False,
    ) -> list[StoredInstance]:
        """Return the instances of a study, series, or the one instance, in the order people read them.

        Raises:
            NotFound: there are none.
        """
        found = await self._index.find_instances(
            tenant_id,
            study_instance_uid,
            series_instance_uid,
            sop_instance_uid,
            with_frame_index=with_frame_index,
        )
        if not found:
            raise NotFound("there is no such study, series or instance", code="no-instances")
        return found

    async def select(self, tenant_id: int, selection: InstanceSelection) -> list[StoredInstance]:
        """Return the instances that unique keys name, study by study in the order people read them; [] for none.

        Raises:
            LimitExceeded: there are more than `limits.MAX_RETRIEVED_INSTANCES`.
        """
        found = await self._index.select_instances(tenant_id, selection, MAX_RETRIEVED_INSTANCES + 1)
        if len(found) > MAX_RETRIEVED_INSTANCES:
            raise LimitExceeded(
                f"more than {MAX_RETRIEVED_INSTANCES} instances are asked for; ask for fewer at a time",
                code="too-many-instances",
                limit=MAX_RETRIEVED_INSTANCES,
            )
        return found

    async def data_set(self, instance: StoredInstance) -> Content:
        """Return the stored data set: in its open file, or where there is none to be had, the bytes when they are few
        and else a generator that reads on. Whoever gets file or generator closes it.

        The first bytes have been read then, so that what is gone is known before anything is sent. A data set of odd
        length, as deflated ones of careless senders are, gets the zero byte
        that makes it even (PS3.5 §A.5).

        Raises:
            NotFound, CorruptData: the stored file is not what the index says.
        """
        blob = instance.blob
        size_bytes = blob.size_bytes - blob.data_set_offset
        in_file = None if size_bytes % 2 else await open_range(self._blobs, instance, blob.data_set_offset, size_bytes)
        if in_file is not None:
            return in_file
        if size_bytes <= _WHOLE_FILE_BYTES:
            content = await self._blobs.read(blob.key, blob.data_set_offset, size_bytes)
            return content + b"\0" if size_bytes % 2 else content
        chunks = self._blobs.stream(blob.key, blob.data_set_offset, size_bytes)
        return in_even_pieces(await anext(chunks), chunks)

    def stream(self, instance: StoredInstance, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield a range of the instance's Part 10 file, flat in memory."""
        rest = instance.blob.size_bytes - offset
        return self._blobs.stream(instance.blob.key, offset, rest if length is None else min(length, rest))

    async def pieces(
        self, instance: StoredInstance, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes | FilePiece, None]:
        """Yield a range of the instance's Part 10 file as pieces of the open file, or as bytes where there is none."""
        rest = instance.blob.size_bytes - offset
        length = rest if length is None else min(length, rest)
        in_file = await open_range(self._blobs, instance, offset, length)
        if in_file is None:
            async for chunk in self.stream(instance, offset, length):
                yield chunk
            return
        async with aclosing(in_file):
            async for piece in file_pieces(in_file.file, offset, length):
                yield piece

    async def part10_pieces(
        self, instances: Sequence[StoredInstance]
    ) -> AsyncGenerator[tuple[StoredInstance, AsyncIterator[bytes | FilePiece]], None]:
        """Yield each instance with the content of its file, unchanged, as `pieces` does; files are opened ahead.

        What is yielded for one instance is of no use once the next is asked for.
        """
        async with aclosing(opened_in_turn(self._blobs, instances)) as batches:
            async for some, files in batches:
                if files is None:
                    async for instance, content in self.part10(some):
                        yield instance, content
                    continue
                for instance, file in zip(some, files, strict=True):
                    yield instance, file_pieces(file, 0, instance.blob.size_bytes)

    async def part10(
        self, instances: Sequence[StoredInstance]
    ) -> AsyncIterator[tuple[StoredInstance, AsyncIterator[bytes]]]:
        """Yield each instance with the content of its file, unchanged.

        Small files are read ahead, together no more than `limits.RETRIEVE_READ_AHEAD_BYTES` and the one being given.
        """
        ahead: deque[asyncio.Task[bytes]] = deque()
        ahead_bytes = 0
        coming = iter(instances)
        waiting: StoredInstance | None = next(coming, None)
        try:
            for instance in instances:
                while waiting is not None and ahead_bytes < RETRIEVE_READ_AHEAD_BYTES:
                    if waiting.blob.size_bytes > _WHOLE_FILE_BYTES:
                        if waiting is not instance:
                            break  # what comes after a large file waits for it
                    else:
                        ahead.append(asyncio.ensure_future(self._blobs.read(waiting.blob.key)))
                        ahead_bytes += waiting.blob.size_bytes
                    waiting = next(coming, None)
                if instance.blob.size_bytes > _WHOLE_FILE_BYTES:
                    yield instance, self.stream(instance)
                else:
                    content = await ahead.popleft()
                    ahead_bytes -= instance.blob.size_bytes
                    yield instance, _once(content)
        finally:
            for task in ahead:
                task.cancel()
            if ahead:
                await asyncio.gather(*ahead, return_exceptions=True)

    async def frames(
        self, instance: StoredInstance, frame_numbers: Sequence[int], *, byte_aligned: bool = False
    ) -> list[bytes]:
        """Return frames as stored: native bytes in the data set's byte order, or the fragments joined.

        Args:
            frame_numbers: 1-based. All of them are held in memory; ask for many in several calls.
            byte_aligned: shift native frames that begin inside a byte (Bits Allocated 1) to a byte's beginning;
                without it the bits of the neighbours stay, see `FrameIndex.frame_bit_offset`.

        Raises:
            NotFound: the instance has no pixels, or not that many frames.
            CorruptData: the stored file is not what the index says.
        """
        frames = _frame_index(instance)
        ranges = [frames.frame_ranges(number - 1) for number in frame_numbers]
        pieces = iter(await self._read_ranges(instance, [one for pieces in ranges for one in pieces]))
        contents = []
        for number, parts in zip(frame_numbers, ranges, strict=True):
            content = next(pieces) if len(parts) == 1 else b"".join([next(pieces) for _ in parts])
            if byte_aligned and not frames.is_byte_aligned:
                content = aligned(content, frames.frame_bit_offset(number - 1), frames.frame_bits)
            contents.append(content)
        return contents

    async def decodable_frames(
        self, instance: StoredInstance, frame_numbers: Sequence[int], bits_allocated: int
    ) -> list[bytes]:
        """Return frames as `frames` does, byte aligned and with native samples little endian.

        Args:
            frame_numbers: 1-based.
            bits_allocated: of the samples. Big endian ones of up to 8 bits stand in words of 16 if the VR is OW.

        Raises:
            NotFound, CorruptData: as `frames`.

        Reference: PS3.5 §7.3, §8.1.1
        """
        if transfer_syntax(instance.transfer_syntax_uid).is_little_endian:
            return await self.frames(instance, frame_numbers, byte_aligned=True)
        frames = _frame_index(instance)
        head_offset = frames.first_offset - _LONG_HEAD_BYTES
        (head,) = await self._read_ranges(instance, [(head_offset, _LONG_HEAD_BYTES)])
        word_bytes = pixel_word_bytes(head[4:6].decode("latin-1"), bits_allocated)
        ranges = [words_of_frame(frames, number - 1, word_bytes) for number in frame_numbers]
        words = await self._read_ranges(instance, ranges)
        return [
            frame_of_words(frames, number - 1, word_bytes, content)
            for number, content in zip(frame_numbers, words, strict=True)
        ]

    async def stored_frames(
        self, instance: StoredInstance, frame_numbers: Sequence[int]
    ) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """Yield length and content of frames as `frames` gives them, byte aligned, however many there are.

        Small frames are read together, up to `limits.RETRIEVE_READ_AHEAD_BYTES`; a larger one is streamed, unless it
        has to be inflated or shifted.

        Raises:
            NotFound, CorruptData: as `frames`.
        """
        frames = _frame_index(instance)
        is_deflated = transfer_syntax(instance.transfer_syntax_uid).is_deflated
        sizes = [sum(length for _, length in frames.frame_ranges(number - 1)) for number in frame_numbers]
        # Each reading of a deflated data set inflates it from its beginning: the fewer, the better.
        most = MAX_INFLATED_BYTES if is_deflated else RETRIEVE_READ_AHEAD_BYTES
        for start, end in _batches(sizes, most):
            if sizes[start] > most and frames.is_byte_aligned and not is_deflated:
                yield sizes[start], self._pieces(instance, frames.frame_ranges(frame_numbers[start] - 1))
                continue
            for content in await self.frames(instance, frame_numbers[start:end], byte_aligned=True):
                yield len(content), _once(content)

    async def bulk_data(self, instance: StoredInstance, path: str) -> tuple[str, AsyncIterator[bytes], int]:
        """Return VR, content and length of a value the metadata only refer to; numbers are in little endian.

        Args:
            path: what follows the placeholder in a BulkDataURI; the placeholder itself may stand before it.

        Raises:
            NotFound: the instance has no such large value.
            CorruptData: the stored file is not what the index says.
        """
        path = path.removeprefix(BULK_DATA_PREFIX)
        if transfer_syntax(instance.transfer_syntax_uid).is_deflated:
            content = await self._blobs.read(instance.blob.key, instance.blob.data_set_offset)
            header = await asyncio.to_thread(read_header, content, instance.transfer_syntax_uid)
            location = _require_location(header.bulk.get(path))
            (value,) = await asyncio.to_thread(_inflate_ranges, [content], [(location.offset, location.length)])
            return location.vr, _once(value), location.length
        location = await self._locate(instance, path)
        offset = instance.blob.data_set_offset + location.offset
        chunks = self.stream(instance, offset, location.length)
        if not transfer_syntax(instance.transfer_syntax_uid).is_little_endian:
            chunks = _in_little_endian(chunks, location.vr)
        return location.vr, chunks, location.length

    async def metadata(
        self,
        tenant_id: int,
        study_instance_uid: str,
        series_instance_uid: str | None = None,
        sop_instance_uid: str | None = None,
    ) -> list[SeriesMetadata]:
        """Return the metadata of a study, series or instance, one answer for each series in it.

        Raises:
            NotFound: there is no such thing.
        """
        if sop_instance_uid is not None:
            instances = await self.instances(tenant_id, study_instance_uid, series_instance_uid, sop_instance_uid)
            return [await self._metadata.make(tenant_id, instances)]
        if series_instance_uid is not None:
            return [await self._metadata.series(tenant_id, study_instance_uid, series_instance_uid)]
        found = await self.instances(tenant_id, study_instance_uid)
        series = dict.fromkeys(instance.series_instance_uid for instance in found)
        return [await self._metadata.series(tenant_id, study_instance_uid, uid) for uid in series]

    async def _locate(self, instance: StoredInstance, path: str) -> BulkLocation:
        blob = instance.blob
        frames = FrameIndex.from_bytes(instance.frame_index) if instance.frame_index is not None else None
        locator = BulkLocator(path, instance.transfer_syntax_uid, blob.size_bytes - blob.data_set_offset, frames)
        while instance.has_bulk_data and (wanted := locator.next_range()) is not None:
            locator.feed(await self._blobs.read(blob.key, blob.data_set_offset + wanted[0], wanted[1]))
        return _require_location(locator.location)

    async def _pieces(self, instance: StoredInstance, ranges: Sequence[tuple[int, int]]) -> AsyncIterator[bytes]:
        for start, end in _batches([length for _, length in ranges], BLOB_CHUNK_BYTES):
            if end - start > 1:
                yield b"".join(await self._read_ranges(instance, ranges[start:end]))
                continue
            offset, length = ranges[start]
            async for chunk in self.stream(instance, instance.blob.data_set_offset + offset, length):
                yield chunk

    async def _read_ranges(self, instance: StoredInstance, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        start = instance.blob.data_set_offset
        if not transfer_syntax(instance.transfer_syntax_uid).is_deflated:
            return await self._blobs.read_many(
                instance.blob.key, [(start + offset, length) for offset, length in ranges]
            )
        deflated = [chunk async for chunk in self.stream(instance, start)]
        return await asyncio.to_thread(_inflate_ranges, deflated, ranges)


def _batches(sizes: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Yield beginning and end of runs that come to no more than `most`; what is larger comes alone."""
    start, total = 0, 0
    for index, size in enumerate(sizes):
        if index > start and (total + size > most or index - start == _RANGES_PER_READ):
            yield start, index
            start, total = index, 0
        total += size
    if sizes:
        yield start, len(sizes)


def _frame_index(instance: StoredInstance) -> FrameIndex:
    if instance.frame_index is not None:
        return FrameIndex.from_bytes(instance.frame_index)
    if instance.frame_count:
        raise LocalProtocolError("the instance was looked up without its frame index")
    raise NotFound("the instance has no pixels", code="no-pixels")


def _require_location(location: BulkLocation | None) -> BulkLocation:
    if location is None:
        raise NotFound("the instance has no such bulk data", code="no-bulk-data")
    return location


def _inflate_ranges(deflated: Sequence[bytes], ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return ranges of what a deflate stream inflates to; of the rest nothing is kept."""
    found = [bytearray() for _ in ranges]
    end = max((offset + length for offset, length in ranges), default=0)
    position = 0
    for piece in _inflated(deflated):
        for content, (offset, length) in zip(found, ranges, strict=True):
            first, last = max(offset - position, 0), min(offset + length - position, len(piece))
            if first < last:
                content += piece[first:last]
        position += len(piece)
        if position >= end:
            break
    if any(len(content) != length for content, (_, length) in zip(found, ranges, strict=True)):
        raise CorruptData("a deflated data set ends before its pixel data", code="short-blob")
    return [bytes(content) for content in found]


def _inflated(deflated: Sequence[bytes]) -> Iterator[bytes]:
    inflater = Inflater(MAX_INFLATED_BYTES)
    for chunk in deflated:
        yield from inflater.inflate(chunk)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _in_little_endian(content: AsyncIterator[bytes], vr: str) -> AsyncIterator[bytes]:
    """Swap the bytes of a big endian value's numbers; a last number that is cut off stays as it is."""
    code = _NUMBER_CODES.get(vr, "B")
    rest = b""
    async for chunk in content:
        numbers = array(code)
        whole = (len(rest) + len(chunk)) // numbers.itemsize * numbers.itemsize
        rest += chunk
        numbers.frombytes(rest[:whole])
        rest = rest[whole:]
        numbers.byteswap()
        yield numbers.tobytes()
    if rest:
        yield rest
