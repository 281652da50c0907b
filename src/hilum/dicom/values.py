"""Values of every VR from their bytes to the DICOM JSON model (PS3.5 §6.2, PS3.18 §F.2).

Each converter takes a value field as it stands in the data set and the character set in force, and returns the
attribute's JSON object. What it can read only in part it raises as `Doubtful`, with the object it made of it.
"""

from __future__ import annotations

from array import array
from base64 import b64encode
from collections.abc import Callable
from math import isfinite
from struct import Struct, unpack
from typing import Any, Final, TypeAlias

from hilum.dicom.charsets import ESCAPE, Charset
from hilum.dicom.damage import DamageKind
from hilum.dicom.temporal import temporal_interval

Element: TypeAlias = dict[str, Any]
Converter: TypeAlias = Callable[[bytes, Charset], Element]

_PADDING: Final = "\0 "
_LARGEST_JSON_INTEGER: Final = 2**63 - 1
# Digits of an IS that surely fit in 63 bits.
_SHORT_INTEGER_CHARACTERS: Final = 18


class Doubtful(Exception):
    """A value was read in part: carries the kind of damage and the element to keep."""

    def __init__(self, kind: DamageKind, element: Element) -> None:
        super().__init__(kind)
        self.kind = kind
        self.element = element


def _element(vr: str, values: list[Any]) -> Element:
    """Return the JSON object of a value that may be empty or have empty members, which are null (PS3.18 §F.2.5)."""
    if len(values) > 1:
        return {"vr": vr, "Value": [None if v == "" else v for v in values]}
    return {"vr": vr, "Value": values} if values and values[0] != "" else {"vr": vr}


def _plain_text(vr: str) -> Converter:
    def convert(raw: bytes, charset: Charset) -> Element:
        text = raw.decode("latin-1").rstrip(_PADDING)
        if "\\" in text:
            return _element(vr, text.split("\\"))
        return {"vr": vr, "Value": [text]} if text else {"vr": vr}

    return convert


def _application_entity(raw: bytes, charset: Charset) -> Element:
    return _element("AE", [v.strip(" \t\n\r\f\v\0") for v in raw.decode("latin-1").split("\\")])


def _unique_identifier(raw: bytes, charset: Charset) -> Element:
    text = raw.decode("latin-1").rstrip(_PADDING)
    if "\\" in text:
        return _element("UI", [v.strip() for v in text.split("\\")])
    text = text.strip()
    return {"vr": "UI", "Value": [text]} if text else {"vr": "UI"}


def _resource(raw: bytes, charset: Charset) -> Element:
    text = raw.decode("latin-1").rstrip()
    return {"vr": "UR", "Value": [text]} if text else {"vr": "UR"}


def _texts(vr: str) -> Converter:
    def convert(raw: bytes, charset: Charset) -> Element:
        fits = True
        if raw.isascii() and ESCAPE not in raw:
            text = raw.decode("ascii")
        else:
            text, fits = charset.decode(raw, b"\\")
        if "\\" in text:
            element = _element(vr, [v.rstrip(_PADDING) for v in text.split("\\")])
        else:
            text = text.rstrip(_PADDING)
            element = {"vr": vr, "Value": [text]} if text else {"vr": vr}
        if not fits:
            raise Doubtful(DamageKind.WRONG_CHARACTERS, element)
        return element

    return convert


def _one_text(vr: str) -> Converter:
    def convert(raw: bytes, charset: Charset) -> Element:
        text, fits = charset.decode(raw)
        text = text.rstrip(_PADDING)
        element: Element = {"vr": vr, "Value": [text]} if text else {"vr": vr}
        if not fits:
            raise Doubtful(DamageKind.WRONG_CHARACTERS, element)
        return element

    return convert


def _person_name(raw: bytes, charset: Charset) -> Element:
    raw = raw.rstrip(b"\0 ")
    if not raw:
        return {"vr": "PN"}
    fits = True
    if raw.isascii() and ESCAPE not in raw:
        text = raw.decode("ascii")
        if "=" not in text and "\\" not in text:
            return {"vr": "PN", "Value": [{"Alphabetic": text}]}
    else:
        text, fits = charset.decode(raw, b"\\^=")
    names = [_component_groups(name) for name in text.split("\\")]
    element: Element = {"vr": "PN", "Value": names} if len(names) > 1 or names[0] else {"vr": "PN"}
    if not fits:
        raise Doubtful(DamageKind.WRONG_CHARACTERS, element)
    return element


def _component_groups(name: str) -> dict[str, str] | None:
    groups = name.rstrip("=").split("=")
    if groups == [""]:
        return None
    return dict(zip(("Alphabetic", "Ideographic", "Phonetic"), groups, strict=False))


def _date(raw: bytes, charset: Charset) -> Element:
    if len(raw) == 8 and raw.isdigit() and b"01" <= raw[4:6] <= b"12" and b"01" <= raw[6:] <= b"31":
        day = raw[6:]
        if day > b"28" and (raw[4:6] == b"02" or day == b"31"):
            return _temporal("DA", raw)
        return {"vr": "DA", "Value": [raw.decode("ascii")]}
    return _temporal("DA", raw)


def _temporal(vr: str, raw: bytes) -> Element:
    element = _element(vr, raw.decode("latin-1").rstrip(_PADDING).split("\\"))
    for value in element.get("Value", ()):
        if value is not None and temporal_interval(vr, value) is None:
            raise Doubtful(DamageKind.UNPARSABLE_VALUE, element)
    return element


def _time(raw: bytes, charset: Charset) -> Element:
    if len(raw) == 6 and raw.isdigit() and raw < b"24" and raw[2:3] < b"6" and raw[4:5] < b"6":
        return {"vr": "TM", "Value": [raw.decode("ascii")]}
    return _temporal("TM", raw)


def _date_time(raw: bytes, charset: Charset) -> Element:
    return _temporal("DT", raw)


def _age(raw: bytes, charset: Charset) -> Element:
    element = _element("AS", raw.decode("latin-1").rstrip(_PADDING).split("\\"))
    for value in element.get("Value", ()):
        if value is not None and not (
            len(value) == 4 and value[:3].isascii() and value[:3].isdigit() and value[3] in "DWMY"
        ):
            raise Doubtful(DamageKind.UNPARSABLE_VALUE, element)
    return element


def _integer_string(raw: bytes, charset: Charset) -> Element:
    if len(raw) <= _SHORT_INTEGER_CHARACTERS and b"_" not in raw:
        try:
            return {"vr": "IS", "Value": [int(raw)]}
        except ValueError:
            pass
    return _number_strings("IS", raw, _integer)


def _decimal_string(raw: bytes, charset: Charset) -> Element:
    if b"_" not in raw:
        try:
            values = [float(v) for v in raw.split(b"\\")]
        except ValueError:
            pass
        else:
            if all(map(isfinite, values)):
                return {"vr": "DS", "Value": values}
    return _number_strings("DS", raw, _decimal)


def _number_strings(vr: str, raw: bytes, parse: Callable[[str], int | float | None]) -> Element:
    """Return numbers where the strings are numbers, and the strings where they are not (PS3.18 Table F.2.3-1)."""
    values: list[int | float | str] = []
    fits = True
    for text in raw.decode("latin-1").rstrip(_PADDING).split("\\"):
        text = text.strip(" \t\n\r\f\v\0")
        number = parse(text) if text else None
        fits = fits and (number is not None or not text)
        values.append(text if number is None else number)
    element = _element(vr, values)
    if not fits:
        raise Doubtful(DamageKind.UNPARSABLE_VALUE, element)
    return element


def _decimal(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and "_" not in text else None


def _integer(text: str) -> int | None:
    """Read an integer; one written as a decimal ("12.0") counts, a fraction does not."""
    try:
        number = int(text)
    except ValueError:
        decimal = _decimal(text)
        if decimal is None or not decimal.is_integer():
            return None
        number = int(decimal)
    return number if abs(number) <= _LARGEST_JSON_INTEGER and "_" not in text else None


def inline_binary(vr: str, raw: bytes) -> Element:
    """Return the JSON object of a binary value that stands in the metadata itself (PS3.18 §F.2.7)."""
    return {"vr": vr, "InlineBinary": b64encode(raw).decode("ascii")} if raw else {"vr": vr}


def _numbers(vr: str, code: str, size: int, order: str) -> Converter:
    one = Struct(order + code).unpack
    is_float = code in "fd"

    def convert(raw: bytes, charset: Charset) -> Element:
        length = len(raw)
        if length == size:
            values = list(one(raw))
        elif length % size:
            raise Doubtful(DamageKind.WRONG_LENGTH, inline_binary("UN", raw))
        elif not length:
            return {"vr": vr}
        else:
            values = list(unpack(f"{order}{length // size}{code}", raw))
        if is_float and not all(map(isfinite, values)):
            # JSON has no such numbers.
            values = [v if isfinite(v) else "NaN" if v != v else "inf" if v > 0 else "-inf" for v in values]
        return {"vr": vr, "Value": values}

    return convert


def _tags(order: str) -> Converter:
    def convert(raw: bytes, charset: Charset) -> Element:
        count = len(raw) // 4
        numbers = unpack(f"{order}{2 * count}H", raw[: 4 * count])
        element = _element("AT", [f"{numbers[i]:04X}{numbers[i + 1]:04X}" for i in range(0, 2 * count, 2)])
        if len(raw) % 4:
            raise Doubtful(DamageKind.WRONG_LENGTH, element)
        return element

    return convert


def _binary(vr: str) -> Converter:
    def convert(raw: bytes, charset: Charset) -> Element:
        return inline_binary(vr, raw)

    return convert


def _swapped_binary(vr: str, code: str) -> Converter:
    """Words of a big endian data set: DICOM JSON has little endian ones only (PS3.18 §F.2.7)."""
    size = array(code).itemsize

    def convert(raw: bytes, charset: Charset) -> Element:
        whole = len(raw) - len(raw) % size
        words = array(code, raw[:whole])
        words.byteswap()
        element = inline_binary(vr, words.tobytes() + raw[whole:])
        if whole != len(raw):
            raise Doubtful(DamageKind.WRONG_LENGTH, element)
        return element

    return convert


_WORDS: Final = {"OW": "H", "OL": "I", "OF": "I", "OD": "Q", "OV": "Q"}
_NUMBERS: Final = {
    "SS": ("h", 2),
    "US": ("H", 2),
    "SL": ("i", 4),
    "UL": ("I", 4),
    "SV": ("q", 8),
    "UV": ("Q", 8),
    "FL": ("f", 4),
    "FD": ("d", 8),
}
BINARY_VRS: Final = frozenset({"OB", "UN", *_WORDS})


def converters(is_little_endian: bool) -> dict[str, Converter]:
    """Return the converter of every VR but SQ, by VR.

    Reference: PS3.5 §6.2, PS3.18 §F.2.3
    """
    order = "<" if is_little_endian else ">"
    table: dict[str, Converter] = {
        "AE": _application_entity,
        "AS": _age,
        "AT": _tags(order),
        "CS": _plain_text("CS"),
        "DA": _date,
        "DS": _decimal_string,
        "DT": _date_time,
        "IS": _integer_string,
        "LO": _texts("LO"),
        "LT": _one_text("LT"),
        "OB": _binary("OB"),
        "PN": _person_name,
        "SH": _texts("SH"),
        "ST": _one_text("ST"),
        "TM": _time,
        "UC": _texts("UC"),
        "UI": _unique_identifier,
        "UN": _binary("UN"),
        "UR": _resource,
        "UT": _one_text("UT"),
    }
    for vr, (code, size) in _NUMBERS.items():
        table[vr] = _numbers(vr, code, size, order)
    for vr, code in _WORDS.items():
        table[vr] = _binary(vr) if is_little_endian else _swapped_binary(vr, code)
    return table
