"""Which VR an element has when it does not say so itself, or cannot be believed (PS3.5 §6.2.2, §7.8.1, §A.1)."""

from __future__ import annotations

from typing import Any, Final

from hilum.dicom.encodings import PIXEL_TAGS, Encoding, dictionary_vr, private_vr
from hilum.dicom.values import Element

_LUT_DESCRIPTOR: Final = "00283002"
_LUT_DATA: Final = "00283006"
_BITS_ALLOCATED: Final = "00280100"
_WAVEFORM_BITS_ALLOCATED: Final = "54001004"


def has_vr(head: bytes) -> bool:
    """Whether an element's first six bytes end in two capital letters."""
    return 0x41 <= head[4] <= 0x5A and 0x41 <= head[5] <= 0x5A


def known_vr(key: str, attributes: dict[str, Element]) -> str | None:
    """Return what the dictionaries say of a tag; a private one is known by its creator in the same item."""
    if key[3] not in "13579BDF":
        return dictionary_vr(int(key, 16))
    if key[4:6] == "00":
        return "LO" if key[6] != "0" else None
    creator = attributes.get(f"{key[:4]}00{key[4:6]}", {}).get("Value")
    if creator is None or len(creator) != 1 or not isinstance(creator[0], str):
        return None
    return private_vr(int(key, 16), creator[0])


def _first_number(attributes: dict[str, Element], key: str) -> Any:
    values = attributes.get(key, {}).get("Value")
    return values[0] if values and isinstance(values[0], int) else 0


def unambiguous_vr(key: str, vr: str, is_undefined: bool, encoding: Encoding, attributes: dict[str, Element]) -> str:
    """Choose among the VRs the dictionary leaves open (PS3.5 §A.1, §8.1.2, §8.3, PS3.3 §C.11.1.1.1)."""
    if vr == "US or SS":
        return "US"
    if key == _LUT_DATA:
        return "US" if _first_number(attributes, _LUT_DESCRIPTOR) == 1 else "OW"
    if key in PIXEL_TAGS and is_undefined:
        return "OB"
    if not encoding.is_implicit:
        if key in PIXEL_TAGS:
            return "OW" if _first_number(attributes, _BITS_ALLOCATED) > 8 else "OB"
        if key.startswith("5400"):
            return "OW" if _first_number(attributes, _WAVEFORM_BITS_ALLOCATED) > 8 else "OB"
    return "OW"
