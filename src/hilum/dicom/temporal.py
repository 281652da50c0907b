"""Dates and times as intervals: what a DA, TM or DT of any precision covers."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, TypeAlias

Interval: TypeAlias = tuple[datetime, datetime]
"""First and last microsecond covered, both included. Times of day stand on 1970-01-01; no zone means UTC."""

_DATE: Final = re.compile(r"(\d{4})(\d{2})(\d{2})|(\d{4})[.](\d{2})[.](\d{2})", re.ASCII)
_TIME: Final = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?", re.ASCII)
_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_OFFSET: Final = re.compile(r"([+-])(\d{2})(\d{2})", re.ASCII)
_MICROSECOND: Final = timedelta(microseconds=1)


def temporal_interval(vr: str, text: str) -> Interval | None:
    """Return the first and last microsecond that a DA, TM or DT value covers, or None if it is no such value.

    "1030" covers the minute, "2020" as DT the year, "103000.5" a tenth of a second. The ACR-NEMA forms 2020.01.31 and
    10:30:00 are read too, as old modalities send them; second 60 is read as the last of its minute. A DT
    without offset is taken as UTC: an archive does not know where its readers are.

    Reference: PS3.5 §6.2, PS3.4 §C.2.2.2.1.3, §C.2.2.2.5
    """
    value = text.strip(" \0")
    try:
        if vr == "DA":
            return _date_interval(value)
        if vr == "TM":
            match = _TIME.fullmatch(value)
            return None if match is None else _interval(["1970", "01", "01", *match.groups()])
        if vr == "DT":
            return _date_time_interval(value)
    except (ValueError, OverflowError):
        # A thirteenth month, a thirtieth of February, an offset that leads out of the calendar.
        return None
    return None


def combined_interval(date: str, time: str | None) -> Interval | None:
    """Return what a date with its time covers, the whole day if the time is missing or unreadable.

    Reference: PS3.4 §C.2.2.2.5.4
    """
    day = temporal_interval("DA", date)
    if day is None:
        return None
    hours = temporal_interval("TM", time) if time else None
    if hours is None:
        return day
    start = day[0] - datetime(1970, 1, 1, tzinfo=UTC)
    return hours[0] + start, hours[1] + start


def utc_offset_minutes(text: str) -> int | None:
    """Return how far a zone such as "+0530" is ahead of UTC, None if the text is none.

    Reference: PS3.3 §C.12.1.1.8, PS3.5 §6.2
    """
    match = _OFFSET.fullmatch(text.strip(" \0"))
    if match is None:
        return None
    minutes = (int(match[2]) * 60 + int(match[3])) * (-1 if match[1] == "-" else 1)
    return minutes if int(match[3]) < 60 and -12 * 60 <= minutes <= 14 * 60 else None


def moved_moment(date: str, time: str, minutes: int) -> tuple[str, str] | None:
    """Return a date and a time moved by some minutes, in the precision they have; None if they are unreadable.

    A time of hours alone is moved by whole hours only.
    """
    moment = combined_interval(date, time)
    if moment is None or temporal_interval("TM", time) is None:
        return None
    digits = time.strip(" \0").replace(":", "")
    if len(digits) < 4 and minutes % 60:
        return None
    try:
        moved = moment[0] + timedelta(minutes=minutes)
    except OverflowError:
        return None
    return f"{moved:%Y%m%d}".rjust(8, "0"), f"{moved:%H%M%S.%f}"[: len(digits)]


def _date_interval(value: str) -> Interval | None:
    match = _DATE.fullmatch(value)
    if match is None:
        return None
    return _interval([part for part in match.groups() if part is not None])


def _date_time_interval(value: str) -> Interval | None:
    match = _DATE_TIME.fullmatch(value)
    if match is None:
        return None
    *parts, offset = match.groups()
    interval = _interval(parts)
    if offset is None:
        return interval
    shift = utc_offset_minutes(offset)
    if shift is None:
        return None
    zone = timezone(timedelta(minutes=shift))
    return interval[0].replace(tzinfo=zone).astimezone(UTC), interval[1].replace(tzinfo=zone).astimezone(UTC)


def _interval(parts: list[str | None] | list[str]) -> Interval:
    """Return the interval of year, month, day, hour, minute, second, fraction; missing last ones are open."""
    present = [part for part in parts if part is not None]
    fraction = present[6] if len(present) > 6 else None
    numbers = [int(part) for part in present[:6]]
    if len(numbers) == 6:
        numbers[5] = min(numbers[5], 59) if numbers[5] == 60 else numbers[5]
    year, month, day, hour, minute, second = numbers + [0, 1, 1, 0, 0, 0][len(numbers) :]
    start = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    if fraction is not None:
        start += timedelta(microseconds=int(fraction.ljust(6, "0")))
        length = timedelta(microseconds=10 ** (6 - len(fraction)))
    else:
        days = {1: 366 if monthrange(year, 2)[1] == 29 else 365, 2: monthrange(year, month)[1], 3: 1}
        units = {4: timedelta(hours=1), 5: timedelta(minutes=1), 6: timedelta(seconds=1)}
        length = units.get(len(numbers)) or timedelta(days=days[len(numbers)])
    return start, start + (length - _MICROSECOND)
