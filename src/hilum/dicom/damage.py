"""What can be wrong with a data set that is kept all the same: the kinds, and where each was met."""

from __future__ import annotations

from enum import StrEnum, unique
from typing import NamedTuple


@unique
class DamageKind(StrEnum):
    """One oddity a reader met and lived with. The guide's page on damage says what is done about each."""

    # The encoding of the data set.
    ENCODING_MISMATCH = "encoding-mismatch"
    UNKNOWN_VR = "unknown-vr"
    MISSING_VR = "missing-vr"
    ODD_LENGTH = "odd-length"
    LENGTH_BEYOND_END = "length-beyond-end"
    MISSING_DELIMITER = "missing-delimiter"
    STRAY_DELIMITER = "stray-delimiter"
    TRUNCATED = "truncated"
    CORRUPT_STREAM = "corrupt-stream"
    UNORDERED = "unordered"
    DUPLICATE = "duplicate"
    STRAY_GROUP = "stray-group"
    # Values.
    WRONG_LENGTH = "wrong-length"
    UNPARSABLE_VALUE = "unparsable-value"
    UNKNOWN_CHARACTER_SET = "unknown-character-set"
    WRONG_CHARACTERS = "wrong-characters"
    UID_LEADING_ZERO = "uid-leading-zero"
    # Pixel data.
    TRUNCATED_PIXEL_DATA = "truncated-pixel-data"
    PIXEL_ENCODING_MISMATCH = "pixel-encoding-mismatch"
    WRONG_OFFSET_TABLE = "wrong-offset-table"
    FRAME_COUNT_MISMATCH = "frame-count-mismatch"
    MISSING_IMAGE_ATTRIBUTES = "missing-image-attributes"


INCOMPLETE = frozenset(
    {DamageKind.TRUNCATED, DamageKind.LENGTH_BEYOND_END, DamageKind.MISSING_DELIMITER, DamageKind.CORRUPT_STREAM}
)
"""Kinds after which attributes that were sent may be missing from what was read."""


class Damage(NamedTuple):
    """One oddity and where it was met: a path such as `00100020` or `00081140/0/00081155`, never a value."""

    kind: DamageKind
    path: str
