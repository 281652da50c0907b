"""The encodings of data sets as tables: what stands at the head of an element, by its very bytes (PS3.5 §7, §A).

The reader's loop asks one dictionary, keyed by the tag's bytes (and VR's, if explicit), what to do with an element.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache, partial
from struct import Struct
from typing import Final, TypeAlias

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._private_dict import private_dictionaries

from hilum.dicom.charsets import Charset
from hilum.dicom.values import Converter, Element, converters


class Kind(IntEnum):
    """How an element's head is read on; 0 is the common one, so that the loop asks a single truth value."""

    PLAIN = 0
    LONG = 1  # explicit VR with a length of 32 bits
    SEQUENCE = 2
    UNKNOWN = 3  # VR UN: the dictionary may know better (PS3.5 §6.2.2)
    CHARACTER_SET = 4
    PIXELS = 5
    GROUP_LENGTH = 6
    DELIMITER = 7
    PRIVATE = 8  # implicit VR: the creator decides
    AMBIGUOUS = 9  # implicit VR: other attributes decide
    BAD_VR = 10
    STRAY_GROUP = 11  # groups 0000 and 0002 do not belong into a data set
    UNLISTED = 12  # implicit VR: in no dictionary


Unpack: TypeAlias = Callable[[bytes, int], tuple[int, ...]]
Entry: TypeAlias = tuple[str, int, Converter, str]
"""Tag as in DICOM JSON, Kind (as a plain int: no enum in the loop), converter, VR."""

LONG_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
AMBIGUOUS_VRS: Final = frozenset({"US or SS", "US or OW", "OB or OW", "US or SS or OW"})
PIXEL_TAGS: Final = {"7FE00008": "FloatPixelData", "7FE00009": "DoubleFloatPixelData", "7FE00010": "PixelData"}
_CHARACTER_SET: Final = 0x00080005
# The first of the three values of a LUT descriptor is a count and never negative, whatever VR the others have
# (PS3.3 §C.7.6.3.1.5); pydicom corrects it too.
_LUT_DESCRIPTORS: Final = frozenset({"00281101", "00281102", "00281103", "00283002"})
# Entries kept per encoding: the dictionary has some 5,000; hostile tags must not fill the memory.
_MAX_ENTRIES: Final = 32_768


def dictionary_vr(tag: int) -> str | None:
    """Return the VR the data dictionary gives a standard tag (perhaps an ambiguous one), or None.

    Reference: PS3.6 §6
    """
    entry = DicomDictionary.get(tag)
    if entry is not None:
        return str(entry[0])
    if not tag >> 16 & 1:
        for mask, value, vr in _repeaters:
            if tag & mask == value:
                return vr
    return None


@lru_cache(maxsize=8192)
def private_vr(tag: int, creator: str | None) -> str | None:
    """Return the VR known for a private tag in a block of this creator, or None.

    Reference: PS3.5 §6.2.2, §7.8.1
    """
    known = private_dictionaries.get(creator) if creator else None
    if known is None or not tag & 0xFF00:
        return None
    group, element = f"{tag >> 16:04X}", f"{tag & 0xFFFF:04X}"
    for key in (group + element, f"{group}xx{element[2:]}", f"{group[:2]}xxxx{element[2:]}"):
        if key in known:
            return str(known[key][0])
    return None


def _repeating_tags() -> tuple[tuple[int, int, str], ...]:
    """Return mask, value and VR of the repeating groups: "60xx3000" fits 6000,3000 to 60FE,3000."""
    return tuple(
        (
            int("".join("0" if c == "x" else "F" for c in pattern), 16),
            int(pattern.replace("x", "0"), 16),
            str(entry[0]),
        )
        for pattern, entry in RepeatersDictionary.items()
    )


_repeaters: Final = _repeating_tags()


class Encoding(dict[bytes, Entry]):
    """One way to encode elements: the table of heads met so far, filled as they are met, and how lengths are read."""

    def __init__(self, *, is_implicit: bool, is_little_endian: bool) -> None:
        super().__init__()
        order = "<" if is_little_endian else ">"
        self.is_implicit = is_implicit
        self.is_little_endian = is_little_endian
        self.head_width = 4 if is_implicit else 6
        self.length_at = 4 if is_implicit else 6
        self.unpack_length: Unpack = Struct(order + ("I" if is_implicit else "H")).unpack_from
        self.unpack_long: Unpack = Struct(order + "I").unpack_from
        self.unpack_tag: Unpack = Struct(order + "HH").unpack_from
        self.converters = converters(is_little_endian)
        self.item = Struct(order + "HH").pack(0xFFFE, 0xE000)
        self.item_end = Struct(order + "HH").pack(0xFFFE, 0xE00D)
        self.sequence_end = Struct(order + "HH").pack(0xFFFE, 0xE0DD)

    def __missing__(self, head: bytes) -> Entry:
        group, element = self.unpack_tag(head, 0)
        entry = self._entry(group << 16 | element, head[4:6])
        if len(self) < _MAX_ENTRIES:
            self[head] = entry
        return entry

    def _entry(self, tag: int, vr_bytes: bytes) -> Entry:
        key = f"{tag:08X}"
        vr = vr_bytes.decode("latin-1")
        kind, vr = self._implicit_kind(tag, key) if self.is_implicit else self._explicit_kind(tag, key, vr)
        if tag >> 16 == 0xFFFE:
            kind = Kind.DELIMITER
        elif kind != Kind.BAD_VR:
            if not tag & 0xFFFF:
                kind = Kind.GROUP_LENGTH
            elif tag >> 16 in (0, 2):
                kind = Kind.STRAY_GROUP
        return key, int(kind), self.convert(key, vr), vr

    def convert(self, key: str, vr: str) -> Converter:
        """Return what reads the values of this attribute when they have this VR."""
        convert = self.converters.get(vr, self.converters["UN"])
        return partial(_lut_descriptor, convert) if key in _LUT_DESCRIPTORS else convert

    def _explicit_kind(self, tag: int, key: str, vr: str) -> tuple[Kind, str]:
        if vr != "SQ" and vr not in self.converters:
            return Kind.BAD_VR, vr
        if key in PIXEL_TAGS:
            return Kind.PIXELS, vr
        if vr == "SQ":
            return Kind.SEQUENCE, vr
        if vr == "UN":
            return Kind.UNKNOWN, vr
        if tag == _CHARACTER_SET:
            return Kind.CHARACTER_SET, vr
        return (Kind.LONG if vr in LONG_VRS else Kind.PLAIN), vr

    def _implicit_kind(self, tag: int, key: str) -> tuple[Kind, str]:
        if tag >> 16 & 1:
            return Kind.PRIVATE, "UN"
        vr = dictionary_vr(tag)
        if vr is None:
            return Kind.UNLISTED, "UN"
        if key in PIXEL_TAGS:
            return Kind.PIXELS, vr
        if vr in AMBIGUOUS_VRS:
            return Kind.AMBIGUOUS, vr
        if vr == "SQ":
            return Kind.SEQUENCE, vr
        return (Kind.CHARACTER_SET if tag == _CHARACTER_SET else Kind.PLAIN), vr


def _lut_descriptor(convert: Converter, raw: bytes, charset: Charset) -> Element:
    element = convert(raw, charset)
    values = element.get("Value", ())
    if len(values) > 1 and isinstance(values[0], int) and values[0] < 0:
        values[0] += 65536
    return element


IMPLICIT_LITTLE: Final = Encoding(is_implicit=True, is_little_endian=True)
EXPLICIT_LITTLE: Final = Encoding(is_implicit=False, is_little_endian=True)
EXPLICIT_BIG: Final = Encoding(is_implicit=False, is_little_endian=False)
IMPLICIT_BIG: Final = Encoding(is_implicit=True, is_little_endian=False)
"""In no transfer syntax; found inside UN sequences and in damaged data sets."""


def other_encoding(encoding: Encoding) -> Encoding:
    """Return the encoding of the same byte order with VRs where this has none, and without where this has."""
    if encoding.is_little_endian:
        return EXPLICIT_LITTLE if encoding.is_implicit else IMPLICIT_LITTLE
    return EXPLICIT_BIG if encoding.is_implicit else IMPLICIT_BIG
