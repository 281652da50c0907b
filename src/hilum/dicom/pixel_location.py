"""Pixel data found: native or encapsulated, fragment by fragment, and which of them make which frame (PS3.5 §A.4)."""

from __future__ import annotations

from array import array
from base64 import b64decode
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from mmap import mmap
from struct import Struct
from typing import Any, Final, TypeAlias

from hilum.dicom.damage import DamageKind
from hilum.dicom.elements import UNDEFINED_LENGTH, Attributes, BulkLocation, PixelElement
from hilum.dicom.encodings import PIXEL_TAGS
from hilum.dicom.frames import FrameIndex
from hilum.kernel.limits import MAX_FRAGMENTS

Buffer: TypeAlias = bytes | bytearray | memoryview | mmap

_ITEM_HEAD: Final = Struct("<II")
_ITEM: Final = 0xE000FFFE  # FFFE,E000 as one little endian number
_SEQUENCE_END: Final = 0xE0DDFFFE
_END_OF_IMAGE: Final = b"\xff\xd9"  # EOI of JPEG and JPEG-LS, EOC of JPEG 2000
# How far from its end a fragment may hold that marker: padding follows it (pydicom looks as far).
_MARKER_BYTES: Final = 10
_DEFAULT_BITS: Final = {"7FE00008": 32, "7FE00009": 64}
# Chrominance of every second pixel is left out: 2 samples a pixel instead of 3 (PS3.3 §C.7.6.3.1.2).
_SUBSAMPLED: Final = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})

_ROWS, _COLUMNS = "00280010", "00280011"
_SAMPLES, _BITS, _PHOTOMETRIC = "00280002", "00280100", "00280004"
_FRAMES: Final = "00280008"
_EXTENDED_OFFSETS: Final = "7FE00001"

Flag: TypeAlias = Callable[[DamageKind, str], None]


@dataclass(frozen=True, slots=True)
class PixelDataLocation:
    """Where the pixel data of an instance stand in its data set, which is never copied for this.

    Args:
        keyword: PixelData, FloatPixelData or DoubleFloatPixelData.
        offset: of the value; encapsulated: of the Basic Offset Table's item.
        length: of the value as far as it is there; encapsulated: with all item heads, without the delimiter.
    """

    keyword: str
    vr: str
    offset: int
    length: int
    is_encapsulated: bool
    frames: FrameIndex


def locate_pixel_data(
    data_set: Buffer,
    base: int,
    total: int,
    element: PixelElement,
    attributes: Attributes,
    extended_offsets: BulkLocation | None,
    *,
    is_encapsulated_syntax: bool | None,
    is_video: bool,
    flag: Flag,
) -> tuple[PixelDataLocation, int]:
    """Return where pixel data and their frames stand, and the offset of what follows them.

    Args:
        data_set: the data set from offset `base` on; of encapsulated pixel data only item heads are read, and the last
            bytes of fragments where nothing else tells which frame they belong to.
        total: length of the whole data set.
        is_encapsulated_syntax: what the transfer syntax promises; None if it is unknown.

    Reference: PS3.5 §A.4, §8.2
    """
    tag, vr, start, length = element
    is_encapsulated = length == UNDEFINED_LENGTH or (
        is_encapsulated_syntax is True and data_set[start - base : start - base + 4] == b"\xfe\xff\x00\xe0"
    )
    if is_encapsulated_syntax is not None and is_encapsulated != is_encapsulated_syntax:
        flag(DamageKind.PIXEL_ENCODING_MISMATCH, tag)
    if is_encapsulated:
        walk = _Fragments(data_set, base, start, total if length == UNDEFINED_LENGTH else min(total, start + length))
        # A value of defined length ends with its last item.
        if start + length > total if length != UNDEFINED_LENGTH else not walk.is_delimited:
            flag(DamageKind.TRUNCATED_PIXEL_DATA, tag)
        extended = _extended_offsets(data_set, base, attributes, extended_offsets)
        frames = _assign(data_set, base, walk, _frame_count(attributes), extended, is_video, flag)
        location = PixelDataLocation(PIXEL_TAGS[tag], vr, start, walk.end - start, True, frames)
        return location, walk.after
    present = min(length, total - start)
    if present < length:
        flag(DamageKind.TRUNCATED_PIXEL_DATA, tag)
    frames = _native(tag, attributes, start, present, present == length, flag)
    return PixelDataLocation(PIXEL_TAGS[tag], vr, start, present, False, frames), start + present


def _frame_count(attributes: Attributes) -> int:
    return max(1, _number(attributes, _FRAMES))


def _number(attributes: Attributes, key: str) -> int:
    """Return the first value of an attribute if it is an integer that makes sense here, else 0."""
    values: Any = attributes.get(key, {}).get("Value")
    return values[0] if values and isinstance(values[0], int) and values[0] > 0 else 0


def _native(tag: str, attributes: Attributes, start: int, present: int, is_whole: bool, flag: Flag) -> FrameIndex:
    samples = _number(attributes, _SAMPLES) or 1
    bits = _number(attributes, _BITS) or _DEFAULT_BITS.get(tag, 0)
    pixels = _number(attributes, _ROWS) * _number(attributes, _COLUMNS)
    if samples == 3 and attributes.get(_PHOTOMETRIC, {}).get("Value", [""])[0] in _SUBSAMPLED:
        samples = 2
    frame_bits = pixels * samples * bits
    if not frame_bits:
        flag(DamageKind.MISSING_IMAGE_ATTRIBUTES, tag)
        return FrameIndex(0, start)
    promised = _frame_count(attributes)
    frames = min(promised, present * 8 // frame_bits)
    if frames < promised and is_whole:
        flag(DamageKind.TRUNCATED_PIXEL_DATA, tag)
    return FrameIndex(frames, start, frame_bits)


class _Fragments:
    """The items of one encapsulated value: lengths only, found by leaping from head to head."""

    def __init__(self, data_set: Buffer, base: int, start: int, stop: int) -> None:
        self.table: tuple[int, int] | None = None
        """Offset and length of the Basic Offset Table."""
        self.lengths = array("I")
        self.is_delimited = False
        self.end = self.after = stop
        position = start
        limit = min(stop - base, len(data_set))
        unpack = _ITEM_HEAD.unpack_from
        while position - base + 8 <= limit and len(self.lengths) < MAX_FRAGMENTS:
            tag, length = unpack(data_set, position - base)
            if tag == _SEQUENCE_END:
                self.is_delimited = True
                self.end, self.after = position, position + 8
                break
            if tag != _ITEM:
                # Not an item: what was found so far stands, where the next element begins is unknown.
                self.end = position
                break
            position += 8
            present = min(length, limit + base - position)
            if self.table is None:
                self.table = position, present
            elif present == length or present > 0:
                self.lengths.append(present)
            if present < length:
                break
            position += length
        if self.table is None:
            self.table = start, 0
        self.first_head = self.table[0] + self.table[1]
        """Offset of the first fragment's item head: offset tables count from here."""


def _extended_offsets(
    data_set: Buffer, base: int, attributes: Attributes, location: BulkLocation | None
) -> Sequence[int]:
    """Return the Extended Offset Table's entries, from wherever they were put (PS3.3 §C.7.6.3.1.8)."""
    if location is not None:
        raw = bytes(data_set[location.offset - base : location.offset - base + location.length])
    else:
        raw = b64decode(attributes.get(_EXTENDED_OFFSETS, {}).get("InlineBinary", ""))
    return array("Q", raw[: len(raw) - len(raw) % 8])


def _assign(
    data_set: Buffer,
    base: int,
    walk: _Fragments,
    frame_count: int,
    extended: Sequence[int],
    is_video: bool,
    flag: Flag,
) -> FrameIndex:
    """Decide which fragments make which frame: by a table that fits, else by number, else by end markers."""
    lengths = walk.lengths
    first_offset = walk.first_head + 8
    count = len(lengths)

    def index(firsts: Sequence[int] | None) -> FrameIndex:
        frames = count if firsts is None else len(firsts)
        return FrameIndex(frames, first_offset, 0, True, lengths, firsts)

    if not count:
        if frame_count:
            flag(DamageKind.TRUNCATED_PIXEL_DATA, "7FE00010")
        return index(None)
    if is_video or (frame_count == 1 and not extended):
        return index(None) if count == 1 else index(array("I", [0]))
    for table in (extended, _basic_offsets(data_set, base, walk)):
        if len(table):
            firsts = _first_fragments(table, lengths)
            if firsts is not None and len(firsts) == frame_count:
                return index(None if len(firsts) == count else firsts)
            flag(DamageKind.WRONG_OFFSET_TABLE, "7FE00010")
    if count == frame_count:
        return index(None)
    if count > frame_count:
        firsts = _by_markers(data_set, base, first_offset, lengths)
        if len(firsts) == frame_count:
            return index(firsts)
        flag(DamageKind.FRAME_COUNT_MISMATCH, "7FE00010")
        return index(firsts)
    flag(DamageKind.FRAME_COUNT_MISMATCH, "7FE00010")
    return index(None)


def _basic_offsets(data_set: Buffer, base: int, walk: _Fragments) -> Sequence[int]:
    start, length = walk.table or (0, 0)
    return array("I", bytes(data_set[start - base : start - base + length - length % 4]))


def _first_fragments(table: Sequence[int], lengths: Sequence[int]) -> array[int] | None:
    """Return the fragment each offset points to, or None if one points between fragments or backwards."""
    heads = [0]
    for length in lengths:
        heads.append(heads[-1] + length + 8)
    heads.pop()
    firsts = array("I")
    for offset in table:
        fragment = bisect_left(heads, offset)
        if fragment == len(heads) or heads[fragment] != offset or (firsts and fragment <= firsts[-1]):
            return None
        firsts.append(fragment)
    return firsts if firsts[0] == 0 else None


def _by_markers(data_set: Buffer, base: int, first_offset: int, lengths: Sequence[int]) -> array[int]:
    """Begin a frame after each fragment that ends an image."""
    firsts = array("I", [0])
    position = first_offset - base
    for number, length in enumerate(lengths[:-1], start=1):
        position += length
        if _END_OF_IMAGE in bytes(data_set[max(position - _MARKER_BYTES, position - length) : position]):
            firsts.append(number)
        position += 8
    return firsts
