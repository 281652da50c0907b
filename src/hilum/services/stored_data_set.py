"""One stored instance opened: its elements as they stand, and its pixel data by ranges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from hilum.archive.model import StoredInstance
from hilum.archive.ports import BlobStore
from hilum.dicom.elements import UNDEFINED_LENGTH, Attributes, PixelElement
from hilum.dicom.frames import FrameIndex
from hilum.dicom.header import read_header
from hilum.dicom.inflate import Inflater
from hilum.dicom.native_frames import frame_of_words, words_of_frame
from hilum.dicom.raw_elements import RawDataSet, RawElement, encoding_of, read_raw
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax
from hilum.kernel.errors import CorruptData, LimitExceeded
from hilum.kernel.limits import (
    BLOB_CHUNK_BYTES,
    MAX_HEADER_BYTES,
    MAX_INFLATED_BYTES,
    MAX_TRANSCODED_BYTES,
    RETRIEVE_READ_AHEAD_BYTES,
)

_ITEM_HEAD_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class PixelValue:
    """Where pixel data stand in the data set: from the head on, the value, and what follows."""

    element: PixelElement
    frames: FrameIndex
    end: int
    after: int

    @property
    def is_encapsulated(self) -> bool:
        """Whether the value consists of fragments."""
        return self.element.length == UNDEFINED_LENGTH


class StoredDataSet:
    """The data set of one stored instance. Small ones, deflated ones and those without a frame index are in memory."""

    def __init__(self, blobs: BlobStore, instance: StoredInstance, content: bytes | None) -> None:
        self._blobs = blobs
        self._instance = instance
        self._content = content
        self._size = len(content) if content is not None else _size_of(instance)
        self.raw: RawDataSet
        self.trailing: list[RawElement] = []
        self.pixels: PixelValue | None = None

    async def read(self, offset: int, length: int) -> bytes:
        """Return a range of the data set.

        Raises:
            CorruptData: it does not reach that far.
        """
        if offset + length > self._size:
            raise CorruptData("The data set ends before its pixel data do.", code="short-blob")
        if self._content is not None:
            return self._content[offset : offset + length]
        return await self._blobs.read(self._instance.blob.key, self._instance.blob.data_set_offset + offset, length)

    async def chunks(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield a range of the data set, flat in memory; all chunks but the last have a multiple of 8 bytes.

        Raises:
            CorruptData: as `read`.
        """
        end = offset + length
        for start in range(offset, end, BLOB_CHUNK_BYTES):
            yield await self.read(start, min(BLOB_CHUNK_BYTES, end - start))

    async def frame(self, frame_index: int, word_bytes: int) -> bytes:
        """Return one frame, 0-based: the fragments joined, or native samples little endian from a byte's beginning.

        Args:
            word_bytes: of native big endian pixel data, else 1.

        Raises:
            NotFound: there is no such frame.
            CorruptData: it is not there in full.
        """
        pixels = self.pixels
        assert pixels is not None
        if pixels.frames.is_encapsulated:
            ranges = pixels.frames.frame_ranges(frame_index)
            if len(ranges) == 1:
                return await self.read(*ranges[0])
            return b"".join(await self._read_many(ranges))
        words = await self.read(*words_of_frame(pixels.frames, frame_index, word_bytes))
        return frame_of_words(pixels.frames, frame_index, word_bytes, words)

    async def _read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        if self._content is not None:
            return [self._content[offset : offset + length] for offset, length in ranges]
        start = self._instance.blob.data_set_offset
        return await self._blobs.read_many(
            self._instance.blob.key, [(start + offset, length) for offset, length in ranges]
        )

    async def load(self, frames: FrameIndex | None) -> None:
        """Read the elements before and after the pixel data.

        Args:
            frames: the frame index; None if there is none, or it has to be made.

        Raises:
            CorruptData: elements are cut off or are none.
            LimitExceeded: what has to be read is beyond bounds.
        """
        uid = self._instance.transfer_syntax_uid
        header_bytes = self._size
        if self._content is None and frames is not None:
            header_bytes = min(frames.first_offset, self._size)
        if header_bytes > MAX_HEADER_BYTES and self._content is None:
            raise LimitExceeded("The header is beyond bounds.", code="header-size", limit=MAX_HEADER_BYTES)
        header = await self.read(0, header_bytes)
        self.raw = await asyncio.to_thread(read_raw, header, encoding_of(uid))
        element = self.raw.pixels
        if element is None:
            return
        if frames is None:
            plain_uid = EXPLICIT_VR_LITTLE_ENDIAN if transfer_syntax(uid).is_deflated else uid
            found = (await asyncio.to_thread(read_header, header, plain_uid)).pixel_data
            frames = found.frames if found is not None else FrameIndex(0)
        await self._find_end(element, frames)

    async def _find_end(self, element: PixelElement, frames: FrameIndex) -> None:
        if element.length != UNDEFINED_LENGTH:
            end = after = element.value_offset + element.length
        else:
            if not frames.is_encapsulated or not frames.frame_count:
                raise CorruptData("The encapsulated pixel data have no fragments.", code="short-blob")
            offset, length = frames.frame_ranges(frames.frame_count - 1)[-1]
            end, after = offset + length, offset + length + _ITEM_HEAD_BYTES
        self.pixels = PixelValue(element, frames, end, after)
        rest = self._size - after
        if rest > MAX_HEADER_BYTES:
            raise LimitExceeded("What follows the pixel data is beyond bounds.", code="header-size")
        if rest >= _ITEM_HEAD_BYTES:
            trailing = await asyncio.to_thread(read_raw, await self.read(after, rest), self.raw.encoding)
            self.trailing = trailing.elements

    def attributes(self, wanted: Sequence[str]) -> Attributes:
        """Return some top-level attributes and, of overlays, where they stand and whether they have data."""
        positions = [
            element.key for element in self.raw.elements if element.key[:2] == "60" and element.key[4:] == "0102"
        ]
        found = self.raw.attributes({*wanted, *positions})
        for element in self.raw.elements:
            if element.key[:2] == "60" and element.key[4:] == "3000":
                found[element.key] = {"vr": "OW"}
        return found


async def open_data_set(blobs: BlobStore, instance: StoredInstance) -> StoredDataSet:
    """Return the data set of a stored instance, its header read.

    Raises:
        CorruptData: the data set cannot be read.
        LimitExceeded: it has to be read into memory, and is larger than we hold.
        NotFound, Unavailable: as the blob store has them.
    """
    content = None
    frames = FrameIndex.from_bytes(instance.frame_index) if instance.frame_index is not None else None
    size_bytes = _size_of(instance)
    is_deflated = transfer_syntax(instance.transfer_syntax_uid).is_deflated
    if frames is None or is_deflated or size_bytes <= RETRIEVE_READ_AHEAD_BYTES:
        if size_bytes > MAX_TRANSCODED_BYTES:
            raise LimitExceeded(
                f"Instances of more than {MAX_TRANSCODED_BYTES} bytes are sent as stored only.",
                code="too-large-to-transcode",
                limit=MAX_TRANSCODED_BYTES,
            )
        content = await blobs.read(instance.blob.key, instance.blob.data_set_offset)
        if is_deflated:
            content = await asyncio.to_thread(_inflated, content)
    data_set = StoredDataSet(blobs, instance, content)
    await data_set.load(frames)
    return data_set


def _size_of(instance: StoredInstance) -> int:
    return instance.blob.size_bytes - instance.blob.data_set_offset


def _inflated(content: bytes) -> bytes:
    inflater = Inflater(MAX_INFLATED_BYTES)
    whole = b"".join(inflater.inflate(content))
    if inflater.is_corrupt:
        raise CorruptData("The deflated data set is damaged.", code="not-transcodable")
    return whole
