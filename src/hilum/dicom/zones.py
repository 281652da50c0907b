"""Data sets and keys in another time zone than their own.

Reference: PS3.3 §C.12.1.1.8, PS3.4 §C.2.2.2, §K.4.1.1.3
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hilum.dicom.dictionary import tag_of
from hilum.dicom.temporal import moved_moment, utc_offset_minutes

TIMEZONE_OFFSET: Final = tag_of("TimezoneOffsetFromUTC")


def offset_of(attributes: Mapping[str, Mapping[str, Any]]) -> int | None:
    """Return how many minutes the zone a data set names is ahead of UTC, None if it names none.

    Reference: PS3.3 §C.12.1.1.8
    """
    return utc_offset_minutes(_first_text(attributes, TIMEZONE_OFFSET))


def offset_element(offset_minutes: int) -> dict[str, Any]:
    """Return Timezone Offset From UTC in DICOM JSON.

    Reference: PS3.3 §C.12.1.1.8
    """
    return {"vr": "SH", "Value": [offset_text(offset_minutes)]}


def offset_text(offset_minutes: int) -> str:
    """Return a zone as DICOM writes it: "+0530".

    Reference: PS3.5 §6.2
    """
    sign, minutes = "-" if offset_minutes < 0 else "+", abs(offset_minutes)
    return f"{sign}{minutes // 60:02}{minutes % 60:02}"


def moved(attributes: Mapping[str, Any], minutes: int, pairs: Mapping[str, str]) -> dict[str, Any]:
    """Return a data set whose dates and times, by pairs of their tags, are some minutes later.

    What has no date, no time, or none that can be read, stays as it is.

    Reference: PS3.4 §C.2.2.2
    """
    result = dict(attributes)
    for date_tag, time_tag in pairs.items():
        date, time = _first_text(attributes, date_tag), _first_text(attributes, time_tag)
        moment = moved_moment(date, time, minutes) if date and time else None
        if moment is not None:
            result[date_tag] = {"vr": "DA", "Value": [moment[0]]}
            result[time_tag] = {"vr": "TM", "Value": [moment[1]]}
    return result


def date_time_in_zone(text: str, offset_minutes: int) -> str:
    """Return the text of a date-time key with the zone behind each of its moments that names none.

    Reference: PS3.4 §C.2.2.2, PS3.5 §6.2
    """
    low, dash, high = text.strip().partition("-")
    # A zone west of Greenwich has a dash too; such a key names its zones itself.
    if "-" in high or "+" in text or (dash and len(high) == 4 and len(low) > 8):
        return text
    zone = offset_text(offset_minutes)
    return dash.join(end + zone if end else "" for end in ((low, high) if dash else (low,)))


def _first_text(attributes: Mapping[str, Mapping[str, Any]], tag: str) -> str:
    return next((str(value) for value in attributes.get(tag, {}).get("Value", ()) if value is not None), "")
