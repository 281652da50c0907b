"""Small data sets that are no instances, as the messages of services carry: bytes to DICOM JSON and back.

Identifiers of queries, attribute lists of normalized services, answers. Instances are read by `header`.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from struct import Struct, pack
from typing import Any, Final, NamedTuple

from hilum.dicom.damage import INCOMPLETE
from hilum.dicom.dictionary import keyword_of
from hilum.dicom.elements import Attributes
from hilum.dicom.encodings import LONG_VRS
from hilum.dicom.header import Buffer, read_header
from hilum.dicom.inflate import Inflater
from hilum.dicom.text_encoding import UTF_8, Encode, encode_ascii, encode_utf_8, encoder_of
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, TRANSFER_SYNTAXES
from hilum.kernel.errors import CorruptData, InvalidInput, LimitExceeded
from hilum.kernel.limits import MAX_IDENTIFIER_BYTES, MAX_SEQUENCE_DEPTH

_CHARACTER_SET: Final = "00080005"
_MAX_SHORT_LENGTH: Final = 0xFFFE
_MAX_DECIMAL_CHARACTERS: Final = 16
_MAX_HEADS: Final = 16_384

ValueWriter = Callable[[Sequence[Any], Encode], bytes]


def read_data_set(data: Buffer, transfer_syntax_uid: str) -> Attributes:
    """Return a data set in the DICOM JSON model, all values inline.

    Odd values are kept as text where they can be; unordered elements and a wrong choice of implicit or explicit VR
    are lived with, as for instances. Group lengths and pixel data are left out.

    Raises:
        CorruptData: elements are cut off or missing.
        LimitExceeded: the data set, or what it inflates to, is longer than `limits.MAX_IDENTIFIER_BYTES`, or nested
            too deeply.

    Reference: PS3.5 §7, Annex A; PS3.18 Annex F
    """
    syntax = TRANSFER_SYNTAXES.get(transfer_syntax_uid)
    if len(data) > MAX_IDENTIFIER_BYTES:
        raise LimitExceeded(
            f"The data set is longer than {MAX_IDENTIFIER_BYTES} bytes",
            code="data-set-size",
            limit=MAX_IDENTIFIER_BYTES,
        )
    if syntax is not None and syntax.is_deflated:
        data = _inflate(data)
        transfer_syntax_uid = EXPLICIT_VR_LITTLE_ENDIAN
    header = read_header(
        data, transfer_syntax_uid, inline_binary_bytes=MAX_IDENTIFIER_BYTES, inline_text_bytes=MAX_IDENTIFIER_BYTES
    )
    damage = next((damage for damage in header.damage if damage.kind in INCOMPLETE), None)
    if damage is not None:
        raise CorruptData(
            "The data set is cut off or its lengths are wrong", code="incomplete-data-set", damage=damage.kind.value
        )
    return header.attributes


def _inflate(data: Buffer) -> bytes:
    inflater = Inflater(MAX_IDENTIFIER_BYTES)
    with memoryview(data) as view:
        inflated = b"".join(inflater.inflate(view))
    if not inflater.is_finished:
        raise CorruptData("The data set is no deflate stream", code="corrupt-deflate-stream")
    return inflated


def write_data_set(
    attributes: Mapping[str, Any], transfer_syntax_uid: str, *, character_set: str | None = None
) -> bytes:
    r"""Return the bytes of a data set of the DICOM JSON model.

    Specific Character Set is what the text needs, whatever `attributes` say: none if it is ASCII, else `character_set`
    if that has all characters, else UTF-8. Items take the character set of the whole. Group lengths are left out,
    values padded to even lengths.

    Args:
        transfer_syntax_uid: how; syntaxes of compressed pixel data encode as Explicit VR Little Endian.
        character_set: the reader's favourite, defined terms parted by backslashes: `\ISO 2022 IR 87`.

    Raises:
        InvalidInput: a value does not fit its VR, or is a reference to bulk data; `attribute` names it.

    Reference: PS3.5 §6.1.2, §7, Annex A; PS3.18 Annex F
    """
    syntax = TRANSFER_SYNTAXES.get(transfer_syntax_uid)
    data = _write_text(element_writer(transfer_syntax_uid), attributes, character_set)
    if syntax is not None and syntax.is_deflated:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = deflater.compress(data) + deflater.flush()
        data += b"\0" * (len(data) & 1)
    return data


def element_writer(transfer_syntax_uid: str) -> ElementWriter:
    """Return what writes elements in the encoding of a transfer syntax, deflated or not."""
    syntax = TRANSFER_SYNTAXES.get(transfer_syntax_uid)
    if syntax is None or (syntax.is_explicit and syntax.is_little_endian):
        return _EXPLICIT_LITTLE
    return _EXPLICIT_BIG if syntax.is_explicit else _IMPLICIT_LITTLE


def _write_text(writer: ElementWriter, attributes: Mapping[str, Any], character_set: str | None) -> bytes:
    try:
        return writer.write(attributes, encode_ascii, None)
    except UnicodeEncodeError:
        pass
    encode = encoder_of(character_set) if character_set else None
    if encode is not None and character_set is not None and encode is not encode_ascii:
        try:
            return writer.write(attributes, encode, character_set)
        except UnicodeEncodeError:
            pass
    return writer.write(attributes, encode_utf_8, UTF_8)


class Head(NamedTuple):
    """What of an element does not depend on its value: its bytes up to the length, and how the value is written."""

    head: bytes
    pack_length: Callable[[int], bytes]
    write_value: ValueWriter | None  # None for a sequence
    padding: bytes
    is_short: bool
    unknown: bytes
    """The head to use instead, with a length of 32 bits, when the value is too long for 16."""


class ElementWriter:
    """Writes elements in one encoding."""

    def __init__(self, *, is_implicit: bool, is_little_endian: bool) -> None:
        order = "<" if is_little_endian else ">"
        self._is_implicit = is_implicit
        self._pack_tag = Struct(order + "HH").pack
        self._pack_short = Struct(order + "H").pack
        self._pack_long = Struct(order + "I").pack
        self._values = _value_writers(order)
        self._item = self._pack_tag(0xFFFE, 0xE000)
        self._heads: dict[tuple[str, str], Head] = {}

    def write(self, attributes: Mapping[str, Any], encode: Encode, character_set: str | None) -> bytes:
        """Return the bytes of a data set whose text is encoded by `encode`."""
        if character_set is not None:
            attributes = {**attributes, _CHARACTER_SET: {"vr": "CS", "Value": [character_set]}}
        elif _CHARACTER_SET in attributes:
            attributes = {tag: element for tag, element in attributes.items() if tag != _CHARACTER_SET}
        return self.elements(attributes, encode)

    def elements(self, attributes: Mapping[str, Any], encode: Encode, depth: int = 0) -> bytes:
        """Return the bytes of these elements as they are.

        Raises:
            InvalidInput: a value does not fit its VR.
            UnicodeEncodeError: `encode` has no bytes for a text.
        """
        out: list[bytes] = []
        heads = self._heads
        for tag in sorted(attributes):
            element = attributes[tag]
            try:
                vr = element["vr"]
                head, pack_length, write_value, padding, is_short, unknown = heads.get((tag, vr)) or self.head(tag, vr)
                values = element.get("Value")
                if write_value is None:
                    raw = self._items(values or (), encode, depth)
                elif values:
                    raw = write_value(values, encode)
                elif len(element) > 1 and values is None:
                    raw = _binary(element)
                    if vr in _WORD_BYTES:
                        raw = write_value((raw,), encode)
                else:
                    raw = b""
            except UnicodeEncodeError:
                raise
            except (TypeError, ValueError, KeyError, AttributeError, LookupError, struct.error, OverflowError) as error:
                raise _unwritable(tag) from error
            length = len(raw)
            if length & 1:
                raw += padding
                length += 1
            if is_short and length > _MAX_SHORT_LENGTH:
                out += (unknown, self._pack_long(length), raw)
            elif tag[4:] != "0000" and not (depth and tag == _CHARACTER_SET):
                out += (head, pack_length(length), raw)
        return b"".join(out)

    def _items(self, items: Sequence[Any], encode: Encode, depth: int) -> bytes:
        if depth >= MAX_SEQUENCE_DEPTH:
            raise LimitExceeded(
                f"Sequences are nested more than {MAX_SEQUENCE_DEPTH} deep",
                code="sequence-depth",
                limit=MAX_SEQUENCE_DEPTH,
            )
        out: list[bytes] = []
        for item in items:
            content = self.elements(item or {}, encode, depth + 1)
            out += (self._item, self._pack_long(len(content)), content)
        return b"".join(out)

    def head(self, tag: str, vr: str) -> Head:
        """Return what of an element does not depend on its value. Raises KeyError for what is no VR."""
        number = int(tag, 16)
        tag_bytes = self._pack_tag(number >> 16, number & 0xFFFF)
        write_value = None if vr == "SQ" else self._values[vr]
        padding = b"\0" if vr in _NUL_PADDED else b" "
        if self._is_implicit:
            entry = Head(tag_bytes, self._pack_long, write_value, padding, False, b"")
        elif vr in LONG_VRS:
            entry = Head(tag_bytes + vr.encode() + b"\0\0", self._pack_long, write_value, padding, False, b"")
        else:
            # PS3.5 §6.2.2: a value too long for its VR's length goes as UN.
            unknown = tag_bytes + b"UN\0\0"
            entry = Head(tag_bytes + vr.encode(), self._pack_short, write_value, padding, True, unknown)
        if len(self._heads) < _MAX_HEADS:
            self._heads[tag, vr] = entry
        return entry


def _binary(element: Mapping[str, Any]) -> bytes:
    if "InlineBinary" in element:
        return b64decode(element["InlineBinary"], validate=True)
    raise ValueError("bulk data")


def _unwritable(tag: str) -> InvalidInput:
    keyword = keyword_of(tag) if len(tag) == 8 and all(c in "0123456789ABCDEF" for c in tag) else None
    return InvalidInput(
        f"A value of {keyword or 'an attribute'} cannot be written as its VR asks",
        code="unwritable-value",
        attribute=keyword or "",
    )


# --- values ----------------------------------------------------------------------------------------------------


def _plain(values: Sequence[Any], encode: Encode) -> bytes:
    """Values of VRs that Specific Character Set does not concern."""
    if len(values) == 1:
        value = values[0]
        return value.encode("latin_1", "replace") if value else b""
    return "\\".join(["" if value is None else value for value in values]).encode("latin_1", "replace")


def _text(values: Sequence[Any], encode: Encode) -> bytes:
    if len(values) == 1:
        value = values[0]
        return encode(value) if value else b""
    return encode("\\".join(["" if value is None else value for value in values]))


def _name(value: Any) -> str:
    if not value:
        return ""
    if isinstance(value, str):
        return value
    if len(value) == 1 and "Alphabetic" in value:
        return str(value["Alphabetic"])
    groups = (value.get(group) or "" for group in ("Alphabetic", "Ideographic", "Phonetic"))
    return "=".join(groups).rstrip("=")


def _names(values: Sequence[Any], encode: Encode) -> bytes:
    return encode(_name(values[0]) if len(values) == 1 else "\\".join(map(_name, values)))


def _decimal(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    text = repr(float(value)) if isinstance(value, float) else str(int(value))
    if text.endswith(".0"):
        text = text[:-2]
    precision = _MAX_DECIMAL_CHARACTERS
    while len(text) > _MAX_DECIMAL_CHARACTERS:
        # DS has sixteen characters, and so not always all digits.
        precision -= 1
        text = f"{float(value):.{precision}g}"
    return text


def _decimals(values: Sequence[Any], encode: Encode) -> bytes:
    return "\\".join(map(_decimal, values)).encode("latin_1", "replace")


def _integers(values: Sequence[Any], encode: Encode) -> bytes:
    texts = ["" if v is None else v if isinstance(v, str) else str(int(v)) for v in values]
    return "\\".join(texts).encode("latin_1", "replace")


def _numbers(order: str, code: str) -> ValueWriter:
    one = Struct(order + code).pack
    convert: Callable[[Any], Any] = float if code in "fd" else int

    def write(values: Sequence[Any], encode: Encode) -> bytes:
        if len(values) == 1:
            return one(convert(values[0])) if values[0] is not None else b""
        return pack(f"{order}{len(values)}{code}", *map(convert, values))

    return write


def _tags(order: str) -> ValueWriter:
    def write(values: Sequence[Any], encode: Encode) -> bytes:
        numbers = [int(value, 16) for value in values if value is not None]
        return b"".join(pack(order + "HH", number >> 16, number & 0xFFFF) for number in numbers)

    return write


def _words(size_bytes: int, *, is_swapped: bool) -> ValueWriter:
    """Binary values, which DICOM JSON has in little endian order (PS3.18 §F.2.7)."""

    def write(values: Sequence[Any], encode: Encode) -> bytes:
        raw = values[0]
        if not isinstance(raw, bytes):
            raise TypeError("binary values have no list of values")
        if not is_swapped or size_bytes == 1:
            return raw
        whole = len(raw) - len(raw) % size_bytes
        swapped = bytearray(raw)
        for index in range(size_bytes):
            swapped[index:whole:size_bytes] = raw[size_bytes - 1 - index : whole : size_bytes]
        return bytes(swapped)

    return write


_NUL_PADDED: Final = frozenset({"UI", "OB", "UN"})
_WORD_BYTES: Final = {"OB": 1, "UN": 1, "OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
_NUMBER_CODES: Final = {"SS": "h", "US": "H", "SL": "i", "UL": "I", "SV": "q", "UV": "Q", "FL": "f", "FD": "d"}


def _value_writers(order: str) -> dict[str, ValueWriter]:
    return {
        **dict.fromkeys(("AE", "AS", "CS", "DA", "DT", "TM", "UI", "UR"), _plain),
        **dict.fromkeys(("LO", "LT", "SH", "ST", "UC", "UT"), _text),
        "AT": _tags(order),
        "DS": _decimals,
        "IS": _integers,
        "PN": _names,
        **{vr: _numbers(order, code) for vr, code in _NUMBER_CODES.items()},
        **{vr: _words(size, is_swapped=order == ">") for vr, size in _WORD_BYTES.items()},
    }


_IMPLICIT_LITTLE: Final = ElementWriter(is_implicit=True, is_little_endian=True)
_EXPLICIT_LITTLE: Final = ElementWriter(is_implicit=False, is_little_endian=True)
_EXPLICIT_BIG: Final = ElementWriter(is_implicit=False, is_little_endian=False)
