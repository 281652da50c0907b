"""Data sets as raw elements: found, changed in places and written in another encoding, values never interpreted.

Text keeps its bytes and its character set, private elements stay, what is not touched is copied.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, Final, NamedTuple

from hilum.dicom.charsets import DEFAULT_CHARSET
from hilum.dicom.elements import UNDEFINED_LENGTH, Attributes, PixelElement
from hilum.dicom.encodings import (
    AMBIGUOUS_VRS,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LONG_VRS,
    PIXEL_TAGS,
    Encoding,
    Kind,
    dictionary_vr,
    other_encoding,
)
from hilum.dicom.uids import transfer_syntax
from hilum.dicom.values import Doubtful
from hilum.dicom.vr_choice import has_vr, known_vr, unambiguous_vr
from hilum.kernel.errors import CorruptData, LimitExceeded
from hilum.kernel.limits import MAX_ELEMENTS, MAX_SEQUENCE_DEPTH

_LONGEST_SHORT_VALUE: Final = 0xFFFE
# Bytes of the numbers a value consists of, where byte order matters (PS3.5 §7.3).
_WORD_BYTES: Final = {
    **dict.fromkeys(("US", "SS", "OW", "AT"), 2),
    **dict.fromkeys(("UL", "SL", "FL", "OL", "OF"), 4),
    **dict.fromkeys(("UV", "SV", "FD", "OV", "OD"), 8),
}
# What decides the VR of other elements in the same or an inner data set.
_PIXEL_REPRESENTATION: Final = "00280103"
_DECIDING: Final = frozenset({_PIXEL_REPRESENTATION, "00280100", "00283002", "54001004"})
_GROUPS_OUTSIDE: Final = ("0000", "0002")


class RawElement(NamedTuple):
    """Where one element stands in `data`: head from `start`, value from `value` to `end`, the next one at `after`.

    A value of undefined length ends before its delimiter, `after` is behind it.
    """

    key: str
    vr: str
    data: bytes
    start: int
    value: int
    end: int
    after: int
    is_undefined: bool
    encoding: Encoding


@dataclass(slots=True)
class RawDataSet:
    """The elements of a data set up to top-level pixel data, and the head of those."""

    encoding: Encoding
    elements: list[RawElement]
    pixels: PixelElement | None

    def attributes(self, wanted: Container[str]) -> Attributes:
        """Return some top-level elements in the DICOM JSON model; texts are read as ASCII."""
        found: Attributes = {}
        for element in self.elements:
            if element.key in wanted and not element.is_undefined:
                convert = element.encoding.convert(element.key, _settled_vr(element, found, is_signed=False))
                try:
                    found[element.key] = convert(element.data[element.value : element.end], DEFAULT_CHARSET)
                except Doubtful as doubt:
                    found[element.key] = doubt.element
        return found

    def find(self, key: str) -> RawElement | None:
        """Return the first element of a tag."""
        return next((element for element in self.elements if element.key == key), None)

    def replaced(self, elements: Sequence[RawElement], removed: Container[str]) -> list[RawElement]:
        """Return the elements with those given in their places and the removed ones left out."""
        new = {element.key: element for element in elements}
        kept = [element for element in self.elements if element.key not in new and element.key not in removed]
        return sorted([*kept, *new.values()], key=lambda element: element.key)


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Return how the elements of a data set in this transfer syntax are encoded.

    Reference: PS3.5 §10, Annex A
    """
    syntax = transfer_syntax(transfer_syntax_uid)
    if not syntax.is_little_endian:
        return EXPLICIT_BIG
    return EXPLICIT_LITTLE if syntax.is_explicit else IMPLICIT_LITTLE


def read_raw(data: bytes, encoding: Encoding, start: int = 0) -> RawDataSet:
    """Return the elements of a data set that is complete up to its pixel data, or to its end.

    A data set that begins with VRs where it should not, or without, is read as it is.

    Raises:
        CorruptData: an element reaches beyond the end, or is none.
        LimitExceeded: too many elements, or sequences nested too deeply.

    Reference: PS3.5 §7
    """
    head = data[start : start + 6]
    if len(head) == 6 and has_vr(head) == encoding.is_implicit:
        encoding = other_encoding(encoding)
    elements: list[RawElement] = []
    position, end = start, len(data)
    while position < end:
        element = _element(data, position, end, encoding)
        if element.key in PIXEL_TAGS:
            length = UNDEFINED_LENGTH if element.is_undefined else element.end - element.value
            vr = element.vr
            if encoding.is_implicit:
                vr = "OB" if element.is_undefined else "OW" if vr in AMBIGUOUS_VRS else vr
            return RawDataSet(encoding, elements, PixelElement(element.key, vr, element.value, length))
        elements.append(_whole(element, 0))
        position = elements[-1].after
        if len(elements) > MAX_ELEMENTS:
            raise LimitExceeded("The data set has too many elements.", code="element-count", limit=MAX_ELEMENTS)
    return RawDataSet(encoding, elements, None)


def write_raw(elements: Sequence[RawElement], encoding: Encoding) -> bytes:
    """Return elements in an encoding; those that stand in it already are copied.

    Group lengths and what belongs to other groups than a data set's are left out. Implicit VR becomes what the
    dictionary says, UN for what it does not know. Values too long for their VR's length become UN.

    Raises:
        CorruptData: a sequence is damaged.

    Reference: PS3.5 §6.2.2, §7.1, §7.5, Annex A
    """
    out = bytearray()
    _write(out, elements, encoding, _Surroundings(), 0)
    return bytes(out)


def items_of(element: RawElement) -> list[list[RawElement]]:
    """Return the elements of each item of a sequence.

    Raises:
        CorruptData: it is damaged, or none.

    Reference: PS3.5 §7.5
    """
    items, _, _ = _items(element._replace(vr="SQ"), 0)
    return [_elements_between(element.data, item, 0) for item in items]


def sequence_element(key: str, items: Sequence[Sequence[RawElement]], encoding: Encoding) -> RawElement:
    """Return a sequence of these items; elements that stand in the encoding already are copied.

    Reference: PS3.5 §7.5
    """
    content = bytearray()
    for elements in items:
        item = write_raw(elements, encoding)
        content += encoding.item + _LENGTHS[encoding.is_little_endian].pack(len(item)) + item
    return raw_element(key, "SQ", bytes(content), encoding)


def raw_element(key: str, vr: str, value: bytes, encoding: Encoding) -> RawElement:
    """Return an element of its own data; the value is of even length."""
    head = element_head(key, vr, len(value), encoding)
    end = len(head) + len(value)
    return RawElement(key, vr, head + value, 0, len(head), end, end, False, encoding)


def element_head(key: str, vr: str, length: int, encoding: Encoding) -> bytes:
    """Return tag, VR and length as they stand before a value.

    Reference: PS3.5 §7.1.2, §7.1.3
    """
    order = "<" if encoding.is_little_endian else ">"
    tag = Struct(order + "HH").pack(int(key[:4], 16), int(key[4:], 16))
    if encoding.is_implicit:
        return tag + Struct(order + "I").pack(length)
    if vr in LONG_VRS:
        return tag + vr.encode() + b"\0\0" + Struct(order + "I").pack(length)
    return tag + vr.encode() + Struct(order + "H").pack(length)


def swapped_words(data: bytes | memoryview, word_bytes: int) -> bytes:
    """Return bytes with those of each word reversed; a last word that is cut off stays as it is."""
    if word_bytes == 1:
        return bytes(data)
    whole = len(data) - len(data) % word_bytes
    out = bytearray(data)
    for index in range(word_bytes):
        out[index:whole:word_bytes] = data[word_bytes - 1 - index : whole : word_bytes]
    return bytes(out)


def word_bytes_of(vr: str) -> int:
    """Return how many bytes the numbers of a VR have, 1 where byte order does not matter.

    Reference: PS3.5 §7.3
    """
    return _WORD_BYTES.get(vr, 1)


@dataclass(slots=True)
class _Surroundings:
    """What is known in a data set or item of its own elements and of those around it."""

    attributes: Attributes = field(default_factory=dict)
    is_signed: bool = False


def _element(data: bytes, position: int, end: int, encoding: Encoding) -> RawElement:
    """Return the element whose head stands at a position; where an undefined length ends is not looked for."""
    value = position + 8
    if value > end:
        raise _cut_off()
    key, kind, _, vr = encoding[data[position : position + encoding.head_width]]
    if kind == Kind.DELIMITER:
        raise CorruptData("A delimiter stands where an element should.", code="not-transcodable")
    if kind == Kind.BAD_VR:
        return _of_unknown_vr(data, position, end, encoding, key)
    length = encoding.unpack_length(data, position + encoding.length_at)[0]
    if not encoding.is_implicit and vr in LONG_VRS:
        value += 4
        if value > end:
            raise _cut_off()
        length = encoding.unpack_long(data, position + 8)[0]
    is_undefined = length == UNDEFINED_LENGTH and (encoding.is_implicit or vr in LONG_VRS)
    stop = value if is_undefined else value + length
    # Of pixel data only the head need be there.
    if stop > end and key not in PIXEL_TAGS:
        raise _cut_off()
    return RawElement(key, vr, data, position, value, stop, stop, is_undefined, encoding)


def _of_unknown_vr(data: bytes, position: int, end: int, encoding: Encoding, key: str) -> RawElement:
    """Two letters nobody knows yet have a length of 32 bits (PS3.5 §7.1.2); by mistake they may have one of 16."""
    if not has_vr(data[position : position + 6]):
        raise CorruptData("An element has no value representation.", code="not-transcodable")
    value = position + 12
    if data[position + 6 : position + 8] == b"\0\0" and value <= end:
        length = encoding.unpack_long(data, position + 8)[0]
        if value + length <= end:
            return RawElement(key, "UN", data, position, value, value + length, value + length, False, encoding)
    value = position + 8
    stop = value + encoding.unpack_length(data, position + 6)[0]
    if stop > end:
        raise _cut_off()
    return RawElement(key, "UN", data, position, value, stop, stop, False, encoding)


def _whole(element: RawElement, depth: int) -> RawElement:
    """Return an element with its end found, if its length is undefined."""
    if not element.is_undefined:
        return element
    _, end, after = _items(element, depth)
    return element._replace(end=end, after=after)


class _Item(NamedTuple):
    start: int
    end: int
    is_undefined: bool
    encoding: Encoding


def _is_sequence(element: RawElement) -> bool:
    if element.vr == "SQ":
        return True
    # Of undefined length are sequences, known or not, and the fragments of pixel data, in icons too.
    return element.is_undefined and element.key not in PIXEL_TAGS and element.vr not in ("OB", "OW")


def _items(element: RawElement, depth: int) -> tuple[list[_Item], int, int]:
    """Return the items, or fragments, of a value, where the value ends and what follows begins."""
    if depth > MAX_SEQUENCE_DEPTH:
        raise LimitExceeded("Sequences are nested too deeply.", code="sequence-depth", limit=MAX_SEQUENCE_DEPTH)
    data, encoding = element.data, element.encoding
    if element.vr == "UN" and not encoding.is_implicit:
        encoding = IMPLICIT_LITTLE  # PS3.5 §6.2.2
    has_elements = _is_sequence(element)
    end = len(data) if element.is_undefined else element.end
    position = element.value
    items: list[_Item] = []
    while position + 8 <= end:
        tag = data[position : position + 4]
        length = encoding.unpack_long(data, position + 4)[0]
        start = position + 8
        if tag == encoding.sequence_end and element.is_undefined:
            return items, position, start
        if tag != encoding.item:
            raise CorruptData("A sequence holds something else than items.", code="not-transcodable")
        is_undefined = length == UNDEFINED_LENGTH
        inner = _encoding_of_item(data, start, encoding) if has_elements else encoding
        if is_undefined:
            item_end = _end_of_item(data, start, end, inner, depth)
            position = item_end + 8
        else:
            position = item_end = start + length
        if position > end:
            raise _cut_off()
        items.append(_Item(start, item_end, is_undefined, inner))
    if element.is_undefined or position != end:
        raise _cut_off()
    return items, end, end


def _encoding_of_item(data: bytes, start: int, encoding: Encoding) -> Encoding:
    """Items of explicit data sets may have been written without VRs, and the other way round."""
    head = data[start : start + 6]
    if len(head) < 6 or head[:4] in (encoding.item_end, encoding.item, encoding.sequence_end):
        return encoding
    return encoding if has_vr(head) != encoding.is_implicit else other_encoding(encoding)


def _end_of_item(data: bytes, position: int, end: int, encoding: Encoding, depth: int) -> int:
    while position + 8 <= end:
        if data[position : position + 4] == encoding.item_end:
            return position
        position = _whole(_element(data, position, end, encoding), depth + 1).after
    raise _cut_off()


def _write(
    out: bytearray, elements: Sequence[RawElement], encoding: Encoding, around: _Surroundings, depth: int
) -> None:
    inside = _Surroundings({}, around.is_signed)
    for element in elements:
        # It decides for items that stand before it, too.
        if element.key == _PIXEL_REPRESENTATION:
            _note(inside, element)
    for element in elements:
        key = element.key
        if key[4:] == "0000" or key[:4] in _GROUPS_OUTSIDE:
            continue
        if element.encoding is encoding:
            out += element.data[element.start : element.after]
            continue
        if key in _DECIDING or (key[3] in "13579BDF" and key[4:6] == "00"):
            _note(inside, element)
        _write_element(out, element, encoding, inside, depth)


def _note(inside: _Surroundings, element: RawElement) -> None:
    vr = known_vr(element.key, inside.attributes) or element.vr
    raw = element.data[element.value : element.end]
    try:
        value = element.encoding.convert(element.key, vr)(raw, DEFAULT_CHARSET)
    except Doubtful as doubt:
        value = doubt.element
    inside.attributes[element.key] = value
    if element.key == _PIXEL_REPRESENTATION:
        values: Any = value.get("Value") or [0]
        inside.is_signed = values[0] != 0


def _settled_vr(element: RawElement, attributes: Mapping[str, Any], *, is_signed: bool) -> str:
    """Return the VR of an element that had none, or an unknown one."""
    if element.vr != "UN" and not element.encoding.is_implicit:
        return element.vr
    key = element.key
    vr = known_vr(key, dict(attributes)) if key[3] in "13579BDF" else dictionary_vr(int(key, 16))
    if vr in AMBIGUOUS_VRS and vr is not None:
        if vr.startswith("US or SS") and is_signed:
            return "SS"
        vr = unambiguous_vr(key, vr, element.is_undefined, element.encoding, dict(attributes))
    if element.is_undefined and vr not in ("OB", "OW"):
        return "SQ"
    return vr or "UN"


def _write_element(out: bytearray, element: RawElement, encoding: Encoding, inside: _Surroundings, depth: int) -> None:
    source = element.encoding
    vr = _settled_vr(element, inside.attributes, is_signed=inside.is_signed)
    if vr == "SQ" or element.is_undefined:
        _write_items(out, element, vr, encoding, inside, depth)
        return
    raw = element.data[element.value : element.end]
    if source.is_little_endian != encoding.is_little_endian:
        raw = swapped_words(raw, word_bytes_of(vr))
    if not encoding.is_implicit and vr not in LONG_VRS and len(raw) > _LONGEST_SHORT_VALUE:
        vr = "UN"
    padding = b"" if len(raw) % 2 == 0 else b"\0" if vr in ("UI", "OB", "UN") else b" "
    out += element_head(element.key, vr, len(raw) + len(padding), encoding)
    out += raw + padding


def _write_items(
    out: bytearray, element: RawElement, vr: str, encoding: Encoding, inside: _Surroundings, depth: int
) -> None:
    items, _, _ = _items(element, depth)
    content = bytearray()
    for item in items:
        inner = bytearray()
        if vr == "SQ":
            # What was UN is implicit little endian, and its items say so (PS3.5 §6.2.2).
            elements = _elements_between(element.data, item, depth)
            _write(inner, elements, encoding, inside, depth + 1)
        else:
            inner += element.data[item.start : item.end]
        content += encoding.item
        content += _LENGTHS[encoding.is_little_endian].pack(UNDEFINED_LENGTH if item.is_undefined else len(inner))
        content += inner
        if item.is_undefined:
            content += encoding.item_end + bytes(4)
    length = UNDEFINED_LENGTH if element.is_undefined else len(content)
    out += element_head(element.key, vr, length, encoding)
    out += content
    if element.is_undefined:
        out += encoding.sequence_end + bytes(4)


def _elements_between(data: bytes, item: _Item, depth: int) -> list[RawElement]:
    elements = []
    position = item.start
    while position < item.end:
        element = _whole(_element(data, position, item.end, item.encoding), depth + 1)
        elements.append(element)
        position = element.after
    return elements


def _cut_off() -> CorruptData:
    return CorruptData("The data set ends inside an element, or an element is too long.", code="not-transcodable")


_LENGTHS: Final = {True: Struct("<I"), False: Struct(">I")}
