"""The header of an instance in one pass: DICOM JSON, bulk data locations, pixel data and frames, and what is damaged.

Nothing of the pixel data is read but the item heads of encapsulated frames, so a header of 20 KB costs the same in
front of 4 GB. What is wrong but can be lived with is kept and flagged; the guide's page on damage has the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from mmap import mmap
from typing import Final, TypeAlias

import orjson
from pydicom._dicom_dict import DicomDictionary

from hilum.dicom.damage import INCOMPLETE, Damage, DamageKind
from hilum.dicom.elements import UNDEFINED_LENGTH, Attributes, BulkLocation, ElementReader
from hilum.dicom.encodings import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from hilum.dicom.inflate import Inflater
from hilum.dicom.pixel_location import PixelDataLocation, locate_pixel_data
from hilum.dicom.uids import TRANSFER_SYNTAXES
from hilum.kernel.errors import CorruptData, InvalidInput, LimitExceeded
from hilum.kernel.limits import (
    INLINE_BINARY_BYTES,
    INLINE_TEXT_BYTES,
    MAX_HEADER_BYTES,
    MAX_INFLATED_BYTES,
    MAX_UID_LENGTH,
)

Buffer: TypeAlias = bytes | bytearray | memoryview | mmap

_WINDOW_BYTES: Final = 64 * 1024
# Shorter data sets are read as they are; of longer ones only windows are copied.
_WHOLE_BYTES: Final = 1024 * 1024
_EXTENDED_OFFSETS: Final = "7FE00001"
_UID_CHARACTERS: Final = frozenset("0123456789.")

IDENTIFYING: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
"""Attributes without which an instance cannot be kept, in the order in which they stand in a data set."""


@cache
def _tags_by_keyword() -> dict[str, str]:
    return {entry[4]: f"{tag:08X}" for tag, entry in DicomDictionary.items() if entry[4]}


@dataclass(slots=True)
class Header:
    """What an instance says of itself, and where its large values stand.

    Args:
        attributes: the DICOM JSON model, tags ascending; without group lengths, groups 0000 and 0002 and top-level
            pixel data. A value too large for it appears as `{"vr": .., "BulkDataURI": "@@/<path>"}`.
        bulk: those values by path: `00420011`, `54000100/0/54001010` (items count from 0).
        pixel_data: None if the instance has none.
        damage: what was odd, in the order it was met, up to a bound.
        is_deflated: all offsets count in the inflated data set.
        is_implicit, is_little_endian: how the data set is really encoded, whatever its transfer syntax says.

    Reference: PS3.18 Annex F
    """

    transfer_syntax_uid: str
    attributes: Attributes
    bulk: dict[str, BulkLocation]
    pixel_data: PixelDataLocation | None
    damage: tuple[Damage, ...]
    is_deflated: bool = False
    is_implicit: bool = False
    is_little_endian: bool = True

    def json(self) -> bytes:
        """Return the attributes as DICOM JSON."""
        return orjson.dumps(self.attributes)

    def text(self, name: str) -> str | None:
        """Return the first value of an attribute as text, by keyword or tag; None if it is absent or empty.

        Person names come with their component groups joined by `=`, numbers as Python writes them.
        """
        element = self.attributes.get(name) or self.attributes.get(_tags_by_keyword().get(name, ""))
        values = element.get("Value") if element else None
        if not values or values[0] is None:
            return None
        value = values[0]
        if isinstance(value, dict):
            groups = (value.get(g, "") for g in ("Alphabetic", "Ideographic", "Phonetic"))
            return "=".join(groups).rstrip("=") if element and element["vr"] == "PN" else None
        return value if isinstance(value, str) else str(value)

    @property
    def sop_class_uid(self) -> str:
        """SOP Class UID, "" if absent."""
        return self.text("00080016") or ""

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID, "" if absent."""
        return self.text("00080018") or ""

    @property
    def study_instance_uid(self) -> str:
        """Study Instance UID, "" if absent."""
        return self.text("0020000D") or ""

    @property
    def series_instance_uid(self) -> str:
        """Series Instance UID, "" if absent."""
        return self.text("0020000E") or ""

    @property
    def patient_id(self) -> str:
        """Patient ID, "" if absent."""
        return self.text("00100020") or ""


class HeaderReader:
    """Reads the header of one instance, from its first bytes as they arrive and then from the whole data set.

    Args:
        transfer_syntax_uid: as negotiated or found in the file meta information.
        inline_binary_bytes: longer binary values become bulk data.
        inline_text_bytes: longer values of all other VRs become bulk data.
    """

    def __init__(
        self,
        transfer_syntax_uid: str,
        *,
        inline_binary_bytes: int = INLINE_BINARY_BYTES,
        inline_text_bytes: int = INLINE_TEXT_BYTES,
    ) -> None:
        # Unknown transfer syntaxes are explicit little endian, as all compressed ones are (PS3.5 §A.4).
        self._syntax = TRANSFER_SYNTAXES.get(transfer_syntax_uid)
        encoding = EXPLICIT_LITTLE
        if self._syntax is not None and not self._syntax.is_explicit:
            encoding = IMPLICIT_LITTLE
        elif self._syntax is not None and not self._syntax.is_little_endian:
            encoding = EXPLICIT_BIG
        self._uid = transfer_syntax_uid
        self._elements = ElementReader(
            encoding, inline_binary_bytes=inline_binary_bytes, inline_text_bytes=inline_text_bytes
        )
        is_deflated = self._syntax is not None and self._syntax.is_deflated
        self._inflated = _InflatedHeader(self._elements) if is_deflated else None

    def read_prefix(self, prefix: Buffer) -> bool:
        """Read on in the first bytes of a data set and return True once pixel data are reached.

        Cheap to call again with more bytes: what was read before is not read again. The prefix may be given in a buffer
        of its own each time, but has to begin with the data set's first byte.

        Raises:
            LimitExceeded: the header, its depth, or what it inflates to is beyond bounds.
        """
        if self._elements.pixels is not None:
            return True
        if self._inflated is not None:
            self._inflated.feed(prefix)
        else:
            position = self._elements.position
            if len(prefix) - position > MAX_HEADER_BYTES:
                raise _header_too_large()
            with memoryview(prefix) as view:
                self._elements.read(bytes(view[position:]), position, None)
        return self._elements.pixels is not None

    def finish(self, data_set: Buffer) -> Header:
        """Read what is left of the whole data set and return its header.

        Args:
            data_set: all of it; of a memory map or view only windows are copied, and nothing of the pixel data.

        Raises:
            LimitExceeded: the header, its depth, its number of elements, or what it inflates to is beyond bounds.
            CorruptData: a deflated data set is no deflate stream at all.

        Reference: PS3.5 §7, Annex A
        """
        elements = self._elements
        finish = self._finish_plain if self._inflated is None else self._inflated.finish
        pixel_data = finish(data_set)
        elements.settle()
        attributes = elements.attributes
        tags = list(attributes)
        if tags != sorted(tags):
            attributes = {tag: attributes[tag] for tag in sorted(tags)}
        header = Header(
            self._uid,
            attributes,
            elements.bulk,
            pixel_data,
            (),
            self._inflated is not None,
            elements.encoding.is_implicit,
            elements.encoding.is_little_endian,
        )
        for keyword in IDENTIFYING:
            if _has_leading_zero(header.text(keyword) or ""):
                elements.flag(DamageKind.UID_LEADING_ZERO, _tags_by_keyword()[keyword])
        header.damage = tuple(elements.damage)
        return header

    def _finish_plain(self, data_set: Buffer) -> PixelDataLocation | None:
        elements = self._elements
        total = len(data_set)
        if elements.pixels is None:
            for window, base in _windows(data_set, elements):
                if elements.read(window, base, total):
                    break
        if elements.pixels is None:
            return None
        syntax = self._syntax
        location, after = locate_pixel_data(
            data_set,
            0,
            total,
            elements.pixels,
            elements.attributes,
            elements.bulk.get(_EXTENDED_OFFSETS),
            is_encapsulated_syntax=None if syntax is None else syntax.is_encapsulated,
            is_video=syntax is not None and syntax.is_video,
            flag=elements.flag,
        )
        elements.position = after
        for window, base in _windows(data_set, elements):
            if elements.read(window, base, total):
                break
        return location


def _windows(data_set: Buffer, elements: ElementReader) -> Iterator[tuple[bytes, int]]:
    """Yield windows of the data set and their offsets, from the reader's position on, larger ones while it is stuck."""
    if isinstance(data_set, bytes) and len(data_set) <= _WHOLE_BYTES:
        yield data_set, 0
        return
    size = _WINDOW_BYTES
    read_bytes = 0
    with memoryview(data_set) as view:
        while True:
            base = elements.position
            yield bytes(view[base : base + size]), base
            if elements.position == base:
                size *= 4
            read_bytes += min(elements.position - base, size)
            if read_bytes > MAX_HEADER_BYTES or size > 4 * MAX_HEADER_BYTES:
                raise _header_too_large()


class _InflatedHeader:
    """A deflated data set: inflates what the reader needs, and only counts the rest."""

    def __init__(self, elements: ElementReader) -> None:
        self._elements = elements
        self._inflater = Inflater(MAX_INFLATED_BYTES)
        self._fed = 0
        self._kept = bytearray()
        self._base = 0
        """Offset in the inflated data set of what is kept."""
        self._next_attempt = _WINDOW_BYTES

    def feed(self, data: Buffer) -> None:
        """Inflate what of `data` was not fed before, and read on."""
        with memoryview(data) as view:
            for piece in self._inflater.inflate(view[self._fed :]):
                self._take(piece)
            self._fed = max(self._fed, len(view))
        if self._elements.pixels is None:
            self._attempt(None)

    def finish(self, data_set: Buffer) -> PixelDataLocation | None:
        """Inflate the rest and return where pixel data stand in the inflated data set."""
        elements = self._elements
        self.feed(data_set)
        total = self._inflater.size
        if not self._inflater.is_finished:
            if not total:
                raise CorruptData("The data set is no deflate stream", code="corrupt-deflate-stream")
            elements.flag(DamageKind.CORRUPT_STREAM, "")
        if elements.pixels is None:
            self._attempt(total)
        if elements.pixels is None:
            return None
        location, after = locate_pixel_data(
            self._kept if self._base == 0 else b"",
            0 if self._base == 0 else elements.pixels.value_offset,
            total,
            elements.pixels,
            elements.attributes,
            None,
            is_encapsulated_syntax=False,
            is_video=False,
            flag=elements.flag,
        )
        elements.position = after
        elements.read(bytes(self._kept[max(after - self._base, 0) :]), after, total)
        return location

    def _take(self, piece: bytes) -> None:
        pixels = self._elements.pixels
        if pixels is not None and pixels.length != UNDEFINED_LENGTH:
            # Native pixel data are skipped, what follows them is kept.
            end = pixels.value_offset + pixels.length
            arrived = self._inflater.size
            if arrived <= end:
                return
            piece = piece[max(0, len(piece) - (arrived - end)) :]
        self._kept += piece
        if len(self._kept) > MAX_HEADER_BYTES:
            raise _header_too_large()
        if pixels is None and len(self._kept) >= self._next_attempt:
            self._attempt(None)
            self._next_attempt = 2 * len(self._kept)

    def _attempt(self, total: int | None) -> None:
        elements = self._elements
        elements.read(bytes(self._kept[elements.position :]), elements.position, total)
        pixels = elements.pixels
        if pixels is not None and pixels.length != UNDEFINED_LENGTH:
            end = pixels.value_offset + pixels.length
            self._base = end
            del self._kept[:end]


def read_header(
    data_set: Buffer,
    transfer_syntax_uid: str,
    *,
    inline_binary_bytes: int = INLINE_BINARY_BYTES,
    inline_text_bytes: int = INLINE_TEXT_BYTES,
) -> Header:
    """Return the header of a whole data set, as `HeaderReader` reads it.

    Raises:
        LimitExceeded: the header, its depth, its number of elements, or what it inflates to is beyond bounds.
        CorruptData: a deflated data set is no deflate stream at all.

    Reference: PS3.5 §7, Annex A
    """
    reader = HeaderReader(
        transfer_syntax_uid, inline_binary_bytes=inline_binary_bytes, inline_text_bytes=inline_text_bytes
    )
    return reader.finish(data_set)


def require_identity(header: Header) -> None:
    """Return if the instance can be told from all others: its four UIDs are there and are UIDs.

    Components with leading zeros are let pass (and flagged): real archives are full of them.

    Raises:
        InvalidInput: code `missing-attribute` or `invalid-uid`; the fact `attribute` is the keyword.
        CorruptData: code `incomplete-data-set`: a UID is missing and the data set ends too early.

    Reference: PS3.4 §B.2.3, PS3.5 §9.1
    """
    for keyword in IDENTIFYING:
        uid = header.text(keyword)
        if not uid:
            if any(damage.kind in INCOMPLETE for damage in header.damage):
                raise CorruptData(
                    f"The data set is damaged before {keyword} could be read",
                    code="incomplete-data-set",
                    attribute=keyword,
                )
            raise InvalidInput(f"{keyword} is missing", code="missing-attribute", attribute=keyword)
        values = header.attributes[_tags_by_keyword()[keyword]]["Value"]
        if (
            len(values) > 1
            or len(uid) > MAX_UID_LENGTH
            or not _UID_CHARACTERS.issuperset(uid)
            or not all(uid.split("."))
        ):
            raise InvalidInput(f"{keyword} is no UID", code="invalid-uid", attribute=keyword)


def _has_leading_zero(uid: str) -> bool:
    return any(len(part) > 1 and part[0] == "0" for part in uid.split("."))


def _header_too_large() -> LimitExceeded:
    return LimitExceeded(
        f"The header is longer than {MAX_HEADER_BYTES} bytes", code="header-size", limit=MAX_HEADER_BYTES
    )
