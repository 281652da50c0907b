"""One pass over the elements of a data set: bytes in, DICOM JSON attributes, bulk data locations and damage out.

The loop in `_elements` is the hottest of the whole product; what is rare stands outside of it, in `_special`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from hilum.dicom.charsets import DEFAULT_CHARSET, Charset, charset_of
from hilum.dicom.damage import Damage, DamageKind
from hilum.dicom.encodings import (
    AMBIGUOUS_VRS,
    LONG_VRS,
    Encoding,
    Kind,
    dictionary_vr,
    other_encoding,
)
from hilum.dicom.values import BINARY_VRS, Doubtful, Element
from hilum.dicom.vr_choice import has_vr, known_vr, unambiguous_vr
from hilum.kernel.errors import LimitExceeded
from hilum.kernel.limits import MAX_DAMAGE_ENTRIES, MAX_ELEMENTS, MAX_SEQUENCE_DEPTH

Attributes: TypeAlias = dict[str, Element]

UNDEFINED_LENGTH: Final = 0xFFFFFFFF
BULK_DATA_PREFIX: Final = "@@/"
"""Stands before the path in every BulkDataURI; doors put their own address in its place."""
_UNKNOWN_END: Final = 1 << 62

_LONG: Final = int(Kind.LONG)
_CHARACTER_SET: Final = int(Kind.CHARACTER_SET)
_DELIMITER: Final = int(Kind.DELIMITER)
_PIXEL_REPRESENTATION: Final = "00280103"


class BulkLocation(NamedTuple):
    """Where a value too large for the metadata stands: offset and length in the data set (inflated, if deflated)."""

    vr: str
    offset: int
    length: int


class PixelElement(NamedTuple):
    """The head of a top-level pixel data element; `length` may be UNDEFINED_LENGTH."""

    tag: str
    vr: str
    value_offset: int
    length: int


class _Starved(Exception):
    """The window ends inside an element, the data set does not: come again with more bytes."""


@dataclass(slots=True)
class _Level:
    """A data set or one item of a sequence while it is read: where it ends and what holds in it."""

    end: int
    encoding: Encoding
    charset: Charset
    attributes: Attributes
    path: str = ""
    depth: int = 0
    is_delimited: bool = False


class ElementReader:
    """Reads the elements of one data set from one window after the other, as far as each goes.

    Args:
        encoding: what the transfer syntax says; a data set that begins otherwise is read as it is, and flagged.
        inline_binary_bytes: longer binary values become bulk data.
        inline_text_bytes: longer values of all other VRs become bulk data.
    """

    def __init__(self, encoding: Encoding, *, inline_binary_bytes: int, inline_text_bytes: int) -> None:
        self.encoding = encoding
        self.attributes: Attributes = {}
        self.bulk: dict[str, BulkLocation] = {}
        self.damage: list[Damage] = []
        self.pixels: PixelElement | None = None
        self.position = 0
        """Offset in the data set of the first top-level element that was not read yet."""
        self._binary_limit = inline_binary_bytes
        self._text_limit = inline_text_bytes
        self._plain_limit = min(inline_binary_bytes, inline_text_bytes, UNDEFINED_LENGTH - 1)
        self._charset = DEFAULT_CHARSET
        self._last = ""
        self._budget = MAX_ELEMENTS
        # US or SS, read as US: attributes, tag, value and encoding wait for Pixel Representation.
        self._pending: list[tuple[Attributes, str, bytes, Encoding]] = []
        self._is_checked = False
        self._base = 0
        self._size = 0
        self._is_complete = False
        self._reach = 0

    def read(self, window: bytes, base: int, total: int | None) -> bool:
        """Read on from `position` and return True once pixel data or the end of the data set is reached.

        Args:
            window: bytes of the data set from offset `base` on, at most up to its end.
            base: not after `position`.
            total: length of the whole data set, None while unknown.

        Raises:
            LimitExceeded: too many elements, or sequences nested too deeply.
        """
        self._base = base
        self._size = len(window)
        end = _UNKNOWN_END if total is None else total - base
        self._is_complete = self._size >= end
        # What may reach behind the data set's end is not leapt over before that end is known.
        self._reach = self._size if total is None else end
        start = self.position - base
        if not self._is_checked:
            if self._size - start < 8 and not self._is_complete:
                return False
            self._check_encoding(window[start : start + 6])
        pixels = self.pixels
        level = _Level(end, self.encoding, self._charset, self.attributes)
        position = self._elements(window, start, level)
        self.position = base + position
        return self.pixels is not pixels or (self._is_complete and position >= end)

    def settle(self) -> None:
        """Decide what waited for the end of the data set; call once, after the last `read`."""
        self._settle(self.attributes, 0)
        self._pending.clear()

    def flag(self, kind: DamageKind, path: str) -> None:
        """Note one oddity, up to the bound on how many are kept."""
        if len(self.damage) < MAX_DAMAGE_ENTRIES:
            self.damage.append(Damage(kind, path))

    def _check_encoding(self, head: bytes) -> None:
        """Trust the first element rather than the transfer syntax in whether VRs are explicit."""
        self._is_checked = True
        if len(head) == 6 and has_vr(head) == self.encoding.is_implicit:
            self.encoding = other_encoding(self.encoding)
            self.flag(DamageKind.ENCODING_MISMATCH, "")

    def _elements(self, window: bytes, position: int, level: _Level) -> int:
        """Read elements up to the level's end, a delimiter or pixel data, and return where that was."""
        end, encoding, charset, path, depth = level.end, level.encoding, level.charset, level.path, level.depth
        attributes, is_delimited = level.attributes, level.is_delimited
        limit = min(end, self._size)
        width = encoding.head_width
        length_at = encoding.length_at
        unpack_length = encoding.unpack_length
        plain_limit = self._plain_limit
        pending = len(self._pending)
        last = "" if depth else self._last
        count = 0
        for count in range(self._budget):
            start = position + 8
            if start > limit:
                break
            key, kind, convert, vr = encoding[window[position : position + width]]
            length = unpack_length(window, position + length_at)[0]
            if kind:
                if kind == _LONG:
                    start += 4
                    if start > limit:
                        break
                    length = encoding.unpack_long(window, position + 8)[0]
                elif kind == _CHARACTER_SET:
                    if start + length <= limit:
                        charset = level.charset = self._character_set(window[start : start + length], path, depth)
                else:
                    marks = len(self.damage), len(self._pending), self._budget - count
                    is_known = key in attributes
                    try:
                        after = self._special(window, position, level)
                    except _Starved:
                        self._rewind(marks, depth, last)
                        return position
                    if after < 0:
                        if not depth:
                            self._last = last
                        self._settle(attributes, pending)
                        self._budget -= count
                        return ~after
                    position = after
                    if kind != _DELIMITER:
                        if key <= last:
                            self.flag(DamageKind.DUPLICATE if is_known else DamageKind.UNORDERED, path + key)
                        last = key
                    continue
            stop = start + length
            if length > plain_limit or stop > limit:
                marks = len(self.damage), len(self._pending), self._budget - count
                if key <= last:
                    self.flag(DamageKind.DUPLICATE if key in attributes else DamageKind.UNORDERED, path + key)
                try:
                    position = self._value(window, start, length, level, key, vr)
                except _Starved:
                    self._rewind(marks, depth, last)
                    return position
                last = key
                continue
            if key <= last:
                self.flag(DamageKind.DUPLICATE if key in attributes else DamageKind.UNORDERED, path + key)
            last = key
            if length & 1:
                self.flag(DamageKind.ODD_LENGTH, path + key)
            try:
                attributes[key] = convert(window[start:stop], charset)
            except Doubtful as doubt:
                attributes[key] = doubt.element
                self.flag(doubt.kind, path + key)
            position = stop
        else:
            raise _too_many_elements()
        self._budget -= count
        if position < end:
            if not self._is_complete and self._size < end:
                if depth:
                    raise _Starved
                self._last = last
                return position
            self.flag(DamageKind.TRUNCATED, path)
        elif is_delimited:
            self.flag(DamageKind.MISSING_DELIMITER, path)
        self._settle(attributes, pending)
        return end

    def _rewind(self, marks: tuple[int, int, int], depth: int, last: str) -> None:
        """Forget what was noted of an element that has to be read again; inside a sequence pass the signal on."""
        if depth:
            raise _Starved
        del self.damage[marks[0] :], self._pending[marks[1] :]
        self._budget = marks[2]
        self._last = last

    def _character_set(self, raw: bytes, path: str, depth: int) -> Charset:
        charset = charset_of(raw)
        if not charset.is_known:
            self.flag(DamageKind.UNKNOWN_CHARACTER_SET, path + "00080005")
        if not depth:
            self._charset = charset
        return charset

    def _special(self, window: bytes, position: int, level: _Level) -> int:
        """Read one element that is not plain; return where it ended, or the complement of where to stop reading."""
        end, encoding, path, attributes = level.end, level.encoding, level.path, level.attributes
        key, kind, _, vr = encoding[window[position : position + encoding.head_width]]
        if kind == Kind.DELIMITER:
            return self._delimiter(key, position, path, level.is_delimited)
        start, length = position + 8, encoding.unpack_length(window, position + encoding.length_at)[0]
        if kind == Kind.BAD_VR:
            start, length, vr = self._bad_vr(window, position, level, key)
        elif not encoding.is_implicit and vr in LONG_VRS:
            start += 4
            if start > min(end, self._size):
                return self._cut_head(end, path)
            length = encoding.unpack_long(window, position + 8)[0]
        if kind == Kind.PIXELS and not level.depth:
            if self.pixels is None:
                if encoding.is_implicit:
                    vr = "OB" if length == UNDEFINED_LENGTH else "OW" if vr in AMBIGUOUS_VRS else vr
                self.pixels = PixelElement(key, vr, self._base + start, length)
                return ~position
            self.flag(DamageKind.DUPLICATE, key)
        elif kind == Kind.STRAY_GROUP:
            self.flag(DamageKind.STRAY_GROUP, path + key)
        elif kind != Kind.GROUP_LENGTH:
            if kind == Kind.UNKNOWN:
                if length == UNDEFINED_LENGTH:
                    vr = "SQ"
                elif length < 0xFFFF or key[3] in "13579BDF":
                    vr = known_vr(key, attributes) or "UN"
            elif kind == Kind.PRIVATE:
                vr = known_vr(key, attributes) or "UN"
            return self._value(window, start, length, level, key, vr, kind == Kind.UNKNOWN)
        # Not kept: stray groups, group lengths, second pixel data.
        if length == UNDEFINED_LENGTH:
            return self._undefined(window, start, end, encoding, path + key)[1]
        if start + length > end:
            self.flag(DamageKind.LENGTH_BEYOND_END, path + key)
            return end
        if start + length > self._reach:
            raise _Starved
        return start + length

    def _cut_head(self, end: int, path: str) -> int:
        """The container or the window ends between VR and length."""
        if not self._is_complete and self._size < end:
            raise _Starved
        self.flag(DamageKind.TRUNCATED, path)
        return end

    def _delimiter(self, key: str, position: int, path: str, is_delimited: bool) -> int:
        """Item and sequence delimiters where an element is expected."""
        if key == "FFFEE00D" and is_delimited:
            return ~(position + 8)
        self.flag(DamageKind.STRAY_DELIMITER if key == "FFFEE00D" else DamageKind.MISSING_DELIMITER, path)
        if is_delimited:
            # The next item or the end of the sequence: this item's own delimiter was forgotten.
            return ~position
        return position + 8

    def _bad_vr(self, window: bytes, position: int, level: _Level, key: str) -> tuple[int, int, str]:
        """Return start, length and VR of an element whose VR is none of the standard's.

        Two capital letters are a VR of the future or a mistake; those to come have 32 bit lengths (PS3.5 §7.1.2), which
        shows in two zero bytes. Anything else is an element written without VR, unless the VR is two zero bytes and
        the length then makes sense in 16 bits only.
        """
        end, encoding = level.end, level.encoding
        short = encoding.unpack_length(window, position + 6)[0]
        long = encoding.unpack_long(window, position + 4)[0]
        vr = known_vr(key, level.attributes) or "UN"
        if has_vr(window[position : position + 6]):
            self.flag(DamageKind.UNKNOWN_VR, level.path + key)
            if not short and position + 12 <= end:
                if position + 12 > self._size:
                    raise _Starved
                future = encoding.unpack_long(window, position + 8)[0]
                if position + 12 + future <= end:
                    if position + 12 + future > self._reach:
                        raise _Starved
                    return position + 12, future, vr
            return position + 8, short, vr
        self.flag(DamageKind.MISSING_VR, level.path + key)
        if window[position + 4 : position + 6] == b"\0\0" and short:
            return position + 8, short, vr
        return position + 8, long, vr

    def _value(
        self, window: bytes, start: int, length: int, level: _Level, key: str, vr: str, is_unknown: bool = False
    ) -> int:
        """Read one value of any VR and length into `attributes`; return where it ended."""
        end, encoding, attributes = level.end, level.encoding, level.attributes
        own_path = level.path + key
        is_undefined = length == UNDEFINED_LENGTH
        if is_undefined and vr != "SQ" and encoding.is_implicit and dictionary_vr(int(key, 16)) is None:
            if start + 4 > self._size and start + 4 <= end:
                raise _Starved
            if window[start : start + 4] == encoding.item:
                vr = "SQ"
        if vr == "SQ":
            items, stop = self._sequence(window, start, length, level, own_path, is_unknown)
            attributes[key] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
            return stop
        if is_undefined:
            value_stop, stop = self._undefined(window, start, end, encoding, own_path)
        else:
            value_stop = stop = start + length
        if stop > end:
            self.flag(DamageKind.LENGTH_BEYOND_END, own_path)
            return end
        original_vr = vr
        if vr in AMBIGUOUS_VRS:
            vr = unambiguous_vr(key, vr, is_undefined, encoding, attributes)
        size = value_stop - start
        if stop > self._reach:
            raise _Starved
        if size > (self._binary_limit if vr in BINARY_VRS else self._text_limit):
            attributes[key] = {"vr": vr, "BulkDataURI": BULK_DATA_PREFIX + own_path}
            self.bulk[own_path] = BulkLocation(vr, self._base + start, size)
            return stop
        if stop > self._size:
            raise _Starved
        raw = window[start:value_stop]
        if size & 1:
            self.flag(DamageKind.ODD_LENGTH, own_path)
        try:
            attributes[key] = encoding.convert(key, vr)(raw, level.charset)
        except Doubtful as doubt:
            attributes[key] = doubt.element
            self.flag(doubt.kind, own_path)
        if original_vr == "US or SS":
            self._pending.append((attributes, key, raw, encoding))
        return stop

    def _sequence(
        self, window: bytes, start: int, length: int, level: _Level, path: str, is_unknown: bool
    ) -> tuple[list[Attributes], int]:
        """Read the items of one sequence; return them and where it ended."""
        end, encoding = level.end, level.encoding
        if level.depth >= MAX_SEQUENCE_DEPTH:
            raise LimitExceeded(
                f"Sequences are nested more than {MAX_SEQUENCE_DEPTH} deep",
                code="sequence-depth",
                limit=MAX_SEQUENCE_DEPTH,
            )
        items: list[Attributes] = []
        is_undefined = length == UNDEFINED_LENGTH
        stop = end if is_undefined else start + length
        if stop > end:
            self.flag(DamageKind.LENGTH_BEYOND_END, path)
            stop = end
        elif stop > self._size and not is_undefined:
            raise _Starved
        limit = min(stop, self._size)
        position = start
        while position + 8 <= limit:
            tag = window[position : position + 4]
            item_length = encoding.unpack_long(window, position + 4)[0]
            position += 8
            if tag == encoding.item:
                self._budget -= 1
                if self._budget < 0:
                    raise _too_many_elements()
                is_delimited = item_length == UNDEFINED_LENGTH
                item_end = stop if is_delimited else position + item_length
                if item_end > stop:
                    self.flag(DamageKind.LENGTH_BEYOND_END, f"{path}/{len(items)}")
                    item_end = stop
                item_encoding = encoding
                head = window[position : position + 6]
                if not (encoding.is_implicit or len(head) < 6 or has_vr(head) or head[:4] == encoding.item_end):
                    # Items of UN sequences are implicit by rule (PS3.5 §6.2.2), others by mistake.
                    item_encoding = other_encoding(encoding)
                    if not is_unknown and item_end - position >= 6:
                        self.flag(DamageKind.ENCODING_MISMATCH, f"{path}/{len(items)}")
                inner = _Level(
                    item_end,
                    item_encoding,
                    level.charset,
                    {},
                    f"{path}/{len(items)}/",
                    level.depth + 1,
                    is_delimited,
                )
                items.append(inner.attributes)
                position = self._elements(window, position, inner)
                if not is_delimited:
                    position = item_end
            elif tag == encoding.sequence_end:
                if is_undefined:
                    return items, position
                self.flag(DamageKind.STRAY_DELIMITER, path)
                return items, stop
            elif tag == encoding.item_end:
                self.flag(DamageKind.STRAY_DELIMITER, path)
            else:
                self.flag(DamageKind.MISSING_DELIMITER, path)
                return items, position - 8 if is_undefined else stop
        if not self._is_complete and self._size < stop:
            raise _Starved
        if is_undefined:
            self.flag(DamageKind.MISSING_DELIMITER, path)
        elif position < stop:
            self.flag(DamageKind.TRUNCATED, path)
        return items, stop

    def _undefined(self, window: bytes, start: int, end: int, encoding: Encoding, path: str) -> tuple[int, int]:
        """Return where a value of undefined length that is no sequence ends, without and with its delimiter."""
        limit = min(end, self._size)
        position = start
        while position + 8 <= limit:
            tag = window[position : position + 4]
            if tag == encoding.sequence_end:
                return position, position + 8
            if tag != encoding.item:
                # Not made of fragments: the delimiter is what ends it all the same.
                found = window.find(encoding.sequence_end, start, limit)
                if found < 0 or found + 8 > limit:
                    break
                return found, found + 8
            position += 8 + encoding.unpack_long(window, position + 4)[0]
        if not self._is_complete and self._size < end:
            raise _Starved
        found = window.find(encoding.sequence_end, start, limit)
        if 0 <= found <= limit - 8:
            return found, found + 8
        self.flag(DamageKind.MISSING_DELIMITER, path)
        return end, end

    def _settle(self, attributes: Attributes, mark: int) -> None:
        """Give values that are US or SS their VR by the nearest Pixel Representation around them."""
        if len(self._pending) > mark:
            values = attributes.get(_PIXEL_REPRESENTATION, {}).get("Value")
            if values:
                if values[0] != 0:
                    for owner, key, raw, encoding in self._pending[mark:]:
                        try:
                            owner[key] = encoding.convert(key, "SS")(raw, DEFAULT_CHARSET)
                        except Doubtful as doubt:
                            owner[key] = doubt.element
                del self._pending[mark:]


def _too_many_elements() -> LimitExceeded:
    return LimitExceeded(
        f"The data set has more than {MAX_ELEMENTS} elements", code="element-count", limit=MAX_ELEMENTS
    )
