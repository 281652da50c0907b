"""What values may be, by their VR: for data sets that people and programs write, rather than machines send.

What comes over the wire is read as it is; what is entered here is still to be sent to machines that trust it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from hilum.dicom.conditions import INTEGER_VRS
from hilum.dicom.dictionary import keyword_of, vr_of
from hilum.dicom.temporal import temporal_interval
from hilum.dicom.uids import is_valid_uid
from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import MAX_SEQUENCE_DEPTH

MAX_CHARACTERS: Final[Mapping[str, int]] = MappingProxyType(
    {"AE": 16, "CS": 16, "LO": 64, "LT": 10_240, "SH": 16, "ST": 1_024, "TM": 14, "DT": 26, "DS": 16, "IS": 12}
)
"""Characters of one value; of a person name, each group has 64. Reference: PS3.5 Table 6.2-1."""

_TAG: Final = re.compile(r"[0-9A-F]{8}")
_CODE: Final = re.compile(r"[A-Z0-9 _]*")
_AGE: Final = re.compile(r"\d{3}[DWMY]", re.ASCII)
_DECIMAL: Final = re.compile(r" *[+-]?(\d+\.?\d*|\.\d+)([Ee][+-]?\d+)? *", re.ASCII)
_INTEGER: Final = re.compile(r" *[+-]?\d+ *", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_TEXT: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_MAX_GROUP_CHARACTERS: Final = 64
_INTEGER_RANGES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "IS": (-(2**31), 2**31 - 1),
        "SS": (-(2**15), 2**15 - 1),
        "US": (0, 2**16 - 1),
        "SL": (-(2**31), 2**31 - 1),
        "UL": (0, 2**32 - 1),
        "SV": (-(2**63), 2**63 - 1),
        "UV": (0, 2**64 - 1),
    }
)
_LARGEST_SINGLE: Final = (2 - 2**-23) * 2.0**127


def value_fault(vr: str, value: Any) -> str | None:
    """Return what is wrong with one value as DICOM JSON has it, in words that do not repeat it; None if it is sound.

    Reference: PS3.5 §6.2, PS3.18 §F.2.3
    """
    if vr == "PN":
        return _name_fault(value)
    if vr in ("DS", "FL", "FD") or vr in INTEGER_VRS:
        return _number_fault(vr, value)
    if not isinstance(value, str):
        return "is not text"
    longest = MAX_CHARACTERS.get(vr)
    if longest is not None and len(value) > longest:
        return f"has more than {longest} characters"
    rule = _TEXT_RULES.get(vr)
    return rule(value) if rule else "cannot be given as text"


def check_data_set(attributes: Any, *, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a data set of the DICOM JSON model if it can be sent as DICOM: known VRs, sound values, no bulk data.

    The attributes are returned in the order of their tags.

    Raises:
        InvalidInput: it is no such data set; the message names the attribute by its path, and never the value.

    Reference: PS3.18 §F.2, PS3.5 §6.2
    """
    if not isinstance(attributes, Mapping):
        raise _fault(path, "is no data set")
    if len(path) >= MAX_SEQUENCE_DEPTH:
        raise _fault(path, "is nested too deeply")
    return {tag: _checked_element(tag, attributes[tag], path) for tag in sorted(attributes, key=str)}


def _checked_element(tag: Any, element: Any, path: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(tag, str) or not _TAG.fullmatch(tag):
        raise _fault(path, "has an attribute whose tag is not eight upper-case hexadecimal digits")
    path = (*path, tag)
    if tag[4:] == "0000" or int(tag[:4], 16) <= 0x0007:
        raise _fault(path, "does not belong in a data set")
    if not isinstance(element, Mapping) or not isinstance(element.get("vr"), str):
        raise _fault(path, "has no vr")
    vr = element["vr"]
    known = vr_of(tag)
    if known not in ("UN", vr):
        raise _fault(path, f"has the VR {known}")
    if "BulkDataURI" in element or "InlineBinary" in element:
        raise _fault(path, "holds binary data, which cannot be given here")
    values = element.get("Value", [])
    if not isinstance(values, list):
        raise _fault(path, "has a Value that is no list")
    if not values:
        return {"vr": vr}
    if vr == "SQ":
        return {"vr": vr, "Value": [check_data_set(item, path=path) for item in values]}
    for value in values:
        fault = None if value is None else value_fault(vr, value)
        if fault:
            raise _fault(path, fault)
    return {"vr": vr, "Value": list(values)}


def _fault(path: tuple[str, ...], fault: str) -> InvalidInput:
    shown = ".".join(keyword_of(tag) or tag for tag in path) or "the data set"
    keyword = keyword_of(path[-1]) if path else None
    return InvalidInput(f"{shown} {fault}", code="invalid-value", attribute=keyword or "")


def _plain(text: str) -> str | None:
    if _CONTROL.search(text):
        return "has a control character"
    return "has a backslash" if "\\" in text else None


def _long_text(text: str) -> str | None:
    return "has a control character" if _CONTROL_IN_TEXT.search(text) else None


def _application_entity(text: str) -> str | None:
    if not text.isascii() or not text.strip():
        return "is no AE title"
    return _plain(text)


def _matches(pattern: re.Pattern[str], fault: str) -> Callable[[str], str | None]:
    return lambda text: None if pattern.fullmatch(text) else fault


def _temporal(vr: str, fault: str) -> Callable[[str], str | None]:
    # The forms of ACR-NEMA, with dots and colons, are read from old machines and not given to others.
    return lambda text: None if temporal_interval(vr, text) and not set(text) & set(":") else fault


def _date(text: str) -> str | None:
    return None if len(text) == 8 and temporal_interval("DA", text) else "is no date of the form YYYYMMDD"


def _unique_identifier(text: str) -> str | None:
    return None if is_valid_uid(text) else "is no UID"


_TEXT_RULES: Final[Mapping[str, Callable[[str], str | None]]] = MappingProxyType(
    {
        "AE": _application_entity,
        "AS": _matches(_AGE, "is no age like 032Y"),
        "AT": _matches(_TAG, "is no tag"),
        "CS": _matches(_CODE, "has other characters than A-Z, 0-9, space and underscore"),
        "DA": _date,
        "DT": _temporal("DT", "is no date and time"),
        "LO": _plain,
        "LT": _long_text,
        "SH": _plain,
        "ST": _long_text,
        "TM": _temporal("TM", "is no time of the form HHMMSS"),
        "UC": _plain,
        "UI": _unique_identifier,
        "UR": _long_text,
        "UT": _long_text,
    }
)


def _name_fault(value: Any) -> str | None:
    if not isinstance(value, Mapping) or not set(value) <= set(_GROUPS):
        return "is no person name with the groups Alphabetic, Ideographic, Phonetic"
    for group in value.values():
        if not isinstance(group, str):
            return "is not text"
        if len(group) > _MAX_GROUP_CHARACTERS:
            return f"has a group of more than {_MAX_GROUP_CHARACTERS} characters"
        if group.count("^") > 4 or "=" in group:
            return "has more than five components"
        fault = _plain(group)
        if fault:
            return fault
    return None


def _number_fault(vr: str, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return "is no number"
    if isinstance(value, str):
        if vr not in ("DS", "IS", "SV", "UV"):
            return "is no number"
        if len(value) > MAX_CHARACTERS.get(vr, 20) or not (_DECIMAL if vr == "DS" else _INTEGER).fullmatch(value):
            return "is no number"
        value = float(value) if vr == "DS" else int(value)
    if vr in _INTEGER_RANGES:
        low, high = _INTEGER_RANGES[vr]
        if not math.isfinite(value) or int(value) != value:
            return "is no whole number"
        return None if low <= value <= high else "is out of the range of its VR"
    if not math.isfinite(value):
        return "is no number"
    return "is out of the range of its VR" if vr == "FL" and abs(value) > _LARGEST_SINGLE else None
