"""Instances made of stored ones for who retrieves: some of the frames, or all but what is large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Final

from hilum.archive.model import BlobRef, StoredInstance
from hilum.archive.ports import BlobStore
from hilum.archive.sending import InstanceSource
from hilum.dicom.bulk_data import without_bulk_data
from hilum.dicom.dictionary import tag_of
from hilum.dicom.encapsulation import SEQUENCE_END, encapsulated_head, fragment_head
from hilum.dicom.frame_extraction import extracted_elements, frame_times_s
from hilum.dicom.frame_lists import FrameList, TimeRange, choose_frames
from hilum.dicom.frames import FrameIndex
from hilum.dicom.native_frames import pixel_word_bytes
from hilum.dicom.raw_elements import RawDataSet, RawElement, element_head, encoding_of, swapped_words, write_raw
from hilum.dicom.uids import transfer_syntax
from hilum.kernel.errors import CorruptData, LimitExceeded, Unsupported
from hilum.kernel.ids import new_uid
from hilum.kernel.limits import MAX_TRANSCODED_BYTES, RETRIEVE_READ_AHEAD_BYTES
from hilum.pixels.transcode import Route, route_of
from hilum.services.conversion import BitJoiner, header_of
from hilum.services.outgoing import in_even_pieces
from hilum.services.stored_data_set import PixelValue, StoredDataSet, open_data_set
from hilum.services.transcode import TranscodeService

_NUMBER_OF_FRAMES: Final = tag_of("NumberOfFrames")
_BITS_ALLOCATED: Final = tag_of("BitsAllocated")
_PIXEL_DATA: Final = tag_of("PixelData")
_LONGEST_NATIVE_VALUE: Final = 0xFFFFFFFE


class ExtractionService:
    """Makes instances of others as they leave; nothing of them is kept.

    Args:
        blobs: where the stored ones lie.
        transcode: converts what receivers do not take as it is.
    """

    def __init__(self, blobs: BlobStore, transcode: TranscodeService) -> None:
        self._blobs = blobs
        self._transcode = transcode

    async def extract(self, instance: StoredInstance, wanted: FrameList) -> tuple[StoredInstance, InstanceSource]:
        """Return a new instance with some frames of a stored one, in its transfer syntax, and what gives it.

        Raises:
            NotFound: none of the frames is there.
            InvalidInput: the list of frames does not fit the instance.
            Unsupported: it has no frames, or none that can be parted, or no times where a time is asked for.
            CorruptData, LimitExceeded: it cannot be read.

        Reference: PS3.4 §Y.3.3
        """
        try:
            source = await open_data_set(self._blobs, instance)
            return await asyncio.to_thread(self._extract, instance, source, wanted)
        except CorruptData as error:
            raise CorruptData("the instance cannot be read", code="frames-unreadable") from error

    def _extract(
        self, instance: StoredInstance, source: StoredDataSet, wanted: FrameList
    ) -> tuple[StoredInstance, InstanceSource]:
        pixels = source.pixels
        if pixels is None:
            raise Unsupported("the instance has no frames", code="frames-indivisible")
        counts = source.attributes((_NUMBER_OF_FRAMES,)).get(_NUMBER_OF_FRAMES, {}).get("Value") or [1]
        count = pixels.frames.frame_count
        if counts[0] != count:
            # Of a video, for one, which is one stream.
            raise Unsupported("the frames of the instance do not stand apart", code="frames-unreadable")
        times = frame_times_s(source.raw, count) if isinstance(wanted, TimeRange) else None
        chosen = choose_frames(wanted, count, times)
        uid = new_uid()
        elements = extracted_elements(
            source.raw, count, chosen, source_uid=instance.sop_instance_uid, sop_instance_uid=uid
        )
        data_set = _ExtractedDataSet(self._blobs, instance, source, elements, chosen.indices)
        extracted = replace(
            instance,
            sop_instance_uid=uid,
            blob=BlobRef("", data_set.size_bytes, 0),
            frame_count=len(chosen.indices),
            frame_index=None,
        )
        return extracted, _FrameSource(data_set, self._transcode)

    def without_bulk_data(self) -> InstanceSource:
        """Return what gives stored instances without pixel data and what else is large.

        Reference: PS3.4 §Z.1.3
        """
        return _HeaderSource(self._blobs, self._transcode)


class _ExtractedDataSet(StoredDataSet):
    """The data set of an instance with some frames of another, which are read from that."""

    def __init__(
        self,
        blobs: BlobStore,
        instance: StoredInstance,
        source: StoredDataSet,
        elements: list[RawElement],
        indices: Sequence[int],
    ) -> None:
        super().__init__(blobs, instance, b"")
        assert source.pixels is not None
        self._source = source
        self._indices = indices
        self.raw = RawDataSet(source.raw.encoding, elements, source.raw.pixels)
        self.pixels = _pixels_of(source.pixels, indices)
        self.size_bytes = sum(each.after - each.start for each in elements) + (
            self.pixels.end - self.pixels.frames.first_offset
        )

    async def frame(self, frame_index: int, word_bytes: int) -> bytes:
        """Return one frame; see `StoredDataSet.frame`."""
        return await self._source.frame(self._indices[frame_index], word_bytes)


def _pixels_of(source: PixelValue, indices: Sequence[int]) -> PixelValue:
    """Return pixel data of these frames, as if they stood where the source's do, each one fragment."""
    first, count = source.frames.first_offset, len(indices)
    if not source.frames.is_encapsulated:
        frames = FrameIndex(count, first, source.frames.frame_bits)
        end = first + -(-source.frames.frame_bits * count // 8)
        return PixelValue(source.element, frames, end, end)
    lengths = [sum(length for _, length in source.frames.frame_ranges(index)) for index in indices]
    end = first + sum(lengths)
    return PixelValue(source.element, FrameIndex(count, first, 0, True, lengths), end, end)


class _FrameSource:
    """Gives the one instance that was extracted; implements `InstanceSource`."""

    def __init__(self, data_set: _ExtractedDataSet, transcode: TranscodeService) -> None:
        self._data_set = data_set
        self._transcode = transcode

    def can(self, transfer_syntax_uid: str, target_transfer_syntax_uid: str) -> bool:
        """Return whether instances of the one syntax can be had in the other."""
        return self._transcode.can(transfer_syntax_uid, target_transfer_syntax_uid)

    async def data_set(
        self, instance: StoredInstance, transfer_syntax_uid: str | None = None
    ) -> bytes | AsyncGenerator[bytes, None]:
        """Return the data set in that syntax, or in the instance's own."""
        target = transfer_syntax_uid or instance.transfer_syntax_uid
        if route_of(instance.transfer_syntax_uid, target) not in (Route.COPY, Route.SWAP):
            pieces = self._transcode.convert(self._data_set, instance, target)
        elif transfer_syntax(target).is_encapsulated:
            pieces = self._fragments(target)
        else:
            pieces = self._transcode.deflated(self._native(instance.transfer_syntax_uid, target), target)
        return await _leaving(pieces)

    async def _fragments(self, target_uid: str) -> AsyncGenerator[bytes, None]:
        """Yield header, offset table and frames, each one fragment."""
        pixels = self._pixels()
        yield await asyncio.to_thread(header_of, self._data_set, {}, (), target_uid)
        lengths = pixels.frames.fragment_lengths
        yield encapsulated_head(lengths)
        for index, length in enumerate(lengths):
            data = await self._data_set.frame(index, 1)
            yield fragment_head(length + length % 2) + data + b"\0" * (length % 2)
        yield SEQUENCE_END

    async def _native(self, source_uid: str, target_uid: str) -> AsyncGenerator[bytes, None]:
        """Yield header and frames one after the other, in the order of bytes the target has."""
        pixels = self._pixels()
        target = encoding_of(target_uid)
        frames, element = pixels.frames, pixels.element
        if frames.frame_bits // 8 > MAX_TRANSCODED_BYTES:
            raise LimitExceeded("A frame is too large to be taken out.", code="frames-unreadable")
        found = self._data_set.attributes((_BITS_ALLOCATED,)).get(_BITS_ALLOCATED, {}).get("Value")
        bits_allocated = found[0] if found else 16
        length = pixels.end - frames.first_offset
        padding = b"\0" * (length % 2)
        if length + len(padding) > _LONGEST_NATIVE_VALUE:
            raise Unsupported("Native pixel data end at 4 GiB.", code="cannot-encode")
        vr = element.vr
        if element.tag == _PIXEL_DATA:
            vr = "OW" if bits_allocated > 8 or target.is_implicit else "OB"
        read_words = 1 if transfer_syntax(source_uid).is_little_endian else pixel_word_bytes(element.vr, bits_allocated)
        written_words = 1 if target.is_little_endian else pixel_word_bytes(vr, bits_allocated)
        joiner = BitJoiner(frames.frame_bits) if frames.frame_bits % 8 else None
        yield await asyncio.to_thread(header_of, self._data_set, {}, (), target_uid)
        yield element_head(element.tag, vr, length + len(padding), target)
        for index in range(frames.frame_count):
            data = await self._data_set.frame(index, read_words)
            if joiner is not None:
                data = joiner.add(data)
            yield data if written_words == 1 else await asyncio.to_thread(swapped_words, data, written_words)
        yield (joiner.rest() if joiner is not None else b"") + padding

    def _pixels(self) -> PixelValue:
        pixels = self._data_set.pixels
        assert pixels is not None
        return pixels


class _HeaderSource:
    """Gives stored instances without what is large; implements `InstanceSource`."""

    def __init__(self, blobs: BlobStore, transcode: TranscodeService) -> None:
        self._blobs = blobs
        self._transcode = transcode

    def can(self, transfer_syntax_uid: str, target_transfer_syntax_uid: str) -> bool:
        """Return True: where there are no pixels any syntax will do."""
        return True

    async def data_set(
        self, instance: StoredInstance, transfer_syntax_uid: str | None = None
    ) -> bytes | AsyncGenerator[bytes, None]:
        """Return the data set in that syntax, or in the instance's own."""
        target_uid = transfer_syntax_uid or instance.transfer_syntax_uid
        stored = await open_data_set(self._blobs, instance)

        def written() -> bytes:
            kept = without_bulk_data([*stored.raw.elements, *stored.trailing], stored.raw.encoding)
            return write_raw(kept, encoding_of(target_uid))

        return await _leaving(self._transcode.deflated(_once(written), target_uid))


async def _once(make: Callable[[], bytes]) -> AsyncGenerator[bytes, None]:
    yield await asyncio.to_thread(make)


async def _leaving(pieces: AsyncGenerator[bytes, None]) -> bytes | AsyncGenerator[bytes, None]:
    """Return a data set in the form messages carry it: whole if it is small; what comes first has been made then."""
    begun: list[bytes] = []
    size_bytes = 0
    try:
        async for piece in pieces:
            begun.append(piece)
            size_bytes += len(piece)
            if size_bytes > RETRIEVE_READ_AHEAD_BYTES:
                return in_even_pieces(b"".join(begun), pieces)
    except BaseException:
        await pieces.aclose()
        raise
    return b"".join(begun) + b"\0" * (size_bytes % 2)
