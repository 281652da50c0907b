"""The data dictionary (PS3.6): from keyword to tag to value representation and back.

Tags are text of eight upper-case hexadecimal digits, as DICOM JSON has them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import (
    dictionary_description,
    dictionary_keyword,
    dictionary_VR,
    tag_for_keyword,
)

from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import MAX_SEQUENCE_DEPTH

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}", re.ASCII)
_KEYWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*", re.ASCII)
# Where the standard leaves a choice, the one that fits without looking at the pixels (PS3.5 §A.1).
_CHOICE_OF_VR: Final = {"US or SS": "US", "OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}


@lru_cache(maxsize=4096)
def tag_of(attribute: str) -> str:
    """Return the tag an attribute name stands for: a keyword ("PatientName") or a tag ("00100010").

    Raises:
        InvalidInput: no keyword of the dictionary and no eight hexadecimal digits.

    Reference: PS3.18 §8.3.4.1, PS3.6 §6
    """
    if _TAG.fullmatch(attribute):
        return attribute.upper()
    number = tag_for_keyword(attribute) if _KEYWORD.fullmatch(attribute) else None
    if number is None:
        # The name is not repeated: it comes from outside and may hold anything.
        raise InvalidInput("An attribute is neither a known keyword nor a tag.", code="unknown-attribute")
    return f"{number:08X}"


def path_of(text: str) -> tuple[str, ...]:
    """Return the tags of an attribute path: "RequestAttributesSequence.00400009" leads through a sequence.

    Raises:
        InvalidInput: a part is unknown, the path is too deep, or leads through an attribute that is no sequence.

    Reference: PS3.18 §8.3.4.1
    """
    parts = text.split(".")
    if len(parts) > MAX_SEQUENCE_DEPTH:
        raise InvalidInput("An attribute path is too deep.", code="unknown-attribute")
    tags = tuple(tag_of(part) for part in parts)
    if any(vr_of(tag) not in ("SQ", "UN") for tag in tags[:-1]):
        raise InvalidInput("An attribute path leads through what is no sequence.", code="unknown-attribute")
    return tags


@lru_cache(maxsize=4096)
def vr_of(tag: str) -> str:
    """Return the value representation of a tag by the dictionary; "UN" for private and unknown ones.

    Group lengths are UL, private creators LO.

    Reference: PS3.6 §6, PS3.5 §6.2.2, §7.8.1
    """
    number = int(tag, 16)
    if number & 0xFFFF == 0:
        return "UL"
    if is_private(tag):
        return "LO" if 0x0010 <= number & 0xFFFF <= 0x00FF else "UN"
    try:
        vr = dictionary_VR(number)
    except KeyError:
        return "UN"
    return _CHOICE_OF_VR.get(vr, vr)


@lru_cache(maxsize=4096)
def keyword_of(tag: str) -> str | None:
    """Return the keyword of a tag, or None if the dictionary has none.

    Reference: PS3.6 §6
    """
    try:
        return dictionary_keyword(int(tag, 16)) or None
    except KeyError:
        return None


@lru_cache(maxsize=4096)
def name_of(tag: str) -> str | None:
    """Return the name of a tag in words, or None if the dictionary has none.

    Reference: PS3.6 §6
    """
    try:
        return dictionary_description(int(tag, 16)) or None
    except KeyError:
        return None


def is_private(tag: str) -> bool:
    """Return whether a tag belongs to a private group.

    Reference: PS3.5 §7.8
    """
    return int(tag[:4], 16) % 2 == 1


def is_private_creator(tag: str) -> bool:
    """Return whether a tag reserves a block of private elements.

    Reference: PS3.5 §7.8.1
    """
    return is_private(tag) and 0x0010 <= int(tag[4:], 16) <= 0x00FF


def path_keywords(path: tuple[str, ...]) -> str:
    """Return a path in words a person knows: keywords where there are some, tags elsewhere.

    Reference: PS3.18 §8.3.4.1
    """
    return ".".join(keyword_of(tag) or tag for tag in path)


def sop_class_names() -> dict[str, str]:
    """Return the names of all SOP classes of the standard, retired ones too, by UID.

    Reference: PS3.6 Table A-1
    """
    return {uid: entry[0] for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class"}
