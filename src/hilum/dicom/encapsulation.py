"""Encapsulated pixel data on the way out: offset tables, fragments, delimiters (PS3.5 §A.4)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from struct import Struct
from typing import Final

from hilum.dicom.elements import UNDEFINED_LENGTH
from hilum.dicom.encodings import EXPLICIT_LITTLE
from hilum.dicom.raw_elements import element_head
from hilum.kernel.errors import LimitExceeded

SEQUENCE_END: Final = EXPLICIT_LITTLE.sequence_end + bytes(4)
"""Ends the fragments."""

ENCAPSULATION_ATTRIBUTES: Final = ("7FE00001", "7FE00002", "7FE00003")
"""Extended Offset Table, its lengths, and Encapsulated Pixel Data Value Total Length: they belong to one encoding."""

_ITEM_HEAD_BYTES: Final = 8
_LARGEST_OFFSET: Final = 0xFFFFFFFF
_LENGTH: Final = Struct("<I")


def encapsulated_head(frame_lengths: Sequence[int]) -> bytes:
    """Return what stands before the first fragment: offset tables and the head of the pixel data.

    Frames are one fragment each. The Basic Offset Table has their offsets; where those need more than 32 bits it stays
    empty and the Extended Offset Table has them.

    Args:
        frame_lengths: in bytes, before padding to even lengths.

    Raises:
        LimitExceeded: a frame is too long for one fragment.

    Reference: PS3.5 §A.4, PS3.3 §C.7.6.3.1.8
    """
    if any(length >= _LARGEST_OFFSET for length in frame_lengths):
        raise LimitExceeded("A frame is too long for one fragment.", code="frame-too-large", limit=_LARGEST_OFFSET - 1)
    padded = [length + length % 2 for length in frame_lengths]
    *offsets, _ = accumulate((length + _ITEM_HEAD_BYTES for length in padded), initial=0)
    count = len(offsets)
    out = bytearray()
    table = b""
    if offsets and offsets[-1] > _LARGEST_OFFSET:
        numbers = Struct(f"<{count}Q")
        out += element_head("7FE00001", "OV", numbers.size, EXPLICIT_LITTLE) + numbers.pack(*offsets)
        out += element_head("7FE00002", "OV", numbers.size, EXPLICIT_LITTLE) + numbers.pack(*padded)
    else:
        table = Struct(f"<{count}I").pack(*offsets)
    out += element_head("7FE00010", "OB", UNDEFINED_LENGTH, EXPLICIT_LITTLE)
    out += EXPLICIT_LITTLE.item + _LENGTH.pack(len(table)) + table
    return bytes(out)


def fragment_head(length: int) -> bytes:
    """Return what stands before a fragment of that many bytes, padding included.

    Reference: PS3.5 §A.4
    """
    return EXPLICIT_LITTLE.item + _LENGTH.pack(length)
