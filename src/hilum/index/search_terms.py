"""SQL conditions on the tree of terms, equal in meaning to `hilum.dicom.matching`."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnClause,
    ColumnElement,
    Integer,
    Numeric,
    String,
    and_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import TableValuedColumn

from hilum.archive.query import AttributePath, MomentMatch
from hilum.dicom.conditions import TEMPORAL_VRS
from hilum.dicom.matching import (
    AnyOf,
    Condition,
    Fuzzy,
    Range,
    Single,
    UidList,
    Universal,
    Wildcard,
    normalise_name,
)
from hilum.dicom.names import name_pattern_forms
from hilum.dicom.temporal import combined_interval, temporal_interval
from hilum.index.tags import TIMEZONE_OFFSET_FROM_UTC
from hilum.index.terms import clean, microseconds

Clause: TypeAlias = ColumnElement[bool]

_MINUTE: Final = 60_000_000
_DAY: Final = 86_400_000_000


def terms_clause(terms: ColumnElement[Any], keys: Sequence[tuple[AttributePath, Condition]]) -> Clause:
    """Return the condition that a tree of terms satisfies all keys, those of one sequence in one item."""
    nested: dict[str, list[tuple[AttributePath, Condition]]] = {}
    clauses: list[Clause] = []
    for path, condition in keys:
        if isinstance(condition, Universal):
            continue
        if len(path) > 1:
            nested.setdefault(path[0], []).append((path[1:], condition))
        else:
            member = _member(terms, path[0])
            clauses.append(_any(member, value_clause(member, condition)))
    for tag, item_keys in nested.items():
        item = _member(terms, tag)
        clauses.append(_any(item, terms_clause(item, item_keys)))
    return and_(true(), *clauses)


def _any(member: TableValuedColumn[Any], clause: Clause) -> Clause:
    return exists(select(literal_column("1")).select_from(member.scalar_alias).where(clause))


def _member(terms: ColumnElement[Any], tag: str) -> TableValuedColumn[Any]:
    """Return the values of one tag as the column of a FROM element of its own."""
    members = terms.op("->", return_type=JSONB())(text_value(tag))
    return func.jsonb_array_elements(members, type_=JSONB()).column_valued(None)


def value_clause(value: ColumnElement[Any], condition: Condition) -> Clause:
    """Return the condition on one term."""
    if isinstance(condition, AnyOf):
        return or_(*(value_clause(value, alternative) for alternative in condition.alternatives))
    if isinstance(condition, UidList):
        return _as_text(value).in_([clean(uid) for uid in condition.values])
    if isinstance(condition, Single):
        return _single(value, condition.value)
    if isinstance(condition, Wildcard):
        return or_(
            _as_text(value).like(text_value(like_pattern(condition.pattern.strip()))),
            _name(value, condition.pattern, is_literal=False),
        )
    if isinstance(condition, Range):
        return or_(*(_in_range(value, vr, condition) for vr in sorted(TEMPORAL_VRS)))
    if isinstance(condition, Fuzzy):
        words = func.concat(" ", _group(value, 0), " ", _group(value, 1), " ", _group(value, 2))
        return and_(*(words.like(text_value(f"% {like_escaped(word)}%")) for word in condition.words), _is_name(value))
    return true()


def _single(value: ColumnElement[Any], text: str) -> Clause:
    alternatives: list[Clause] = [_as_text(value) == text_value(text.strip(" \0"))]
    number = as_number(text)
    if number is not None:
        alternatives.append(value == func.to_jsonb(cast(bindparam(None, number), Numeric)))
    for vr in sorted(TEMPORAL_VRS):
        interval = temporal_interval(vr, text)
        if interval is not None:
            first, last = (bindparam(None, microseconds(moment), BigInteger) for moment in interval)
            alternatives.append(_microseconds(value, vr).between(first, last))
    alternatives.append(_name(value, text, is_literal=True))
    return or_(*alternatives)


def _in_range(value: ColumnElement[Any], vr: str, condition: Range) -> Clause:
    low = temporal_interval(vr, condition.low) if condition.low else None
    high = temporal_interval(vr, condition.high) if condition.high else None
    if (condition.low and low is None) or (condition.high and high is None):
        return false()
    found = _microseconds(value, vr)
    clauses: list[Clause] = [found.is_not(None)]
    if low is not None:
        clauses.append(found >= bindparam(None, microseconds(low[0]), BigInteger))
    if high is not None:
        clauses.append(found <= bindparam(None, microseconds(high[1]), BigInteger))
    return and_(*clauses)


def moment_terms_clause(terms: ColumnElement[Any], moment: MomentMatch) -> Clause:
    """Return the condition that date and time of a tree of terms, as one moment, lie in a combined range.

    A date without a time is the whole of its day, in whatever zone.
    """
    date = _first_microseconds(terms, moment.date_tag, "DA")
    time = _first_microseconds(terms, moment.time_tag, "TM")
    first = date + func.coalesce(time, literal_column("0"))
    if moment.offset_minutes is not None:
        first += case(
            (
                time.is_not(None),
                func.coalesce((moment.offset_minutes - offset_minutes(terms)) * _MINUTE, literal_column("0")),
            ),
            else_=0,
        )
    last = first + case((time.is_(None), _DAY - 1), else_=0)
    clauses: list[Clause] = [date.is_not(None)]
    if moment.dates.low is not None:
        low = combined_interval(moment.dates.low, moment.times.low)
        clauses.append(false() if low is None else last >= bindparam(None, microseconds(low[0]), BigInteger))
    if moment.dates.high is not None:
        high = combined_interval(moment.dates.high, moment.times.high)
        clauses.append(false() if high is None else first <= bindparam(None, microseconds(high[1]), BigInteger))
    return and_(*clauses)


def _first_microseconds(terms: ColumnElement[Any], tag: str, vr: str) -> ColumnElement[int]:
    values = terms.op("->", return_type=JSONB())(text_value(tag))
    return _microseconds(values.op("->", return_type=JSONB())(literal_column("0")), vr)


def offset_minutes(terms: ColumnElement[Any]) -> ColumnElement[int]:
    """Return how far the zone a data set names is ahead of UTC; NULL when it names none."""
    values = terms.op("->", return_type=JSONB())(text_value(TIMEZONE_OFFSET_FROM_UTC))
    text: ColumnElement[str] = values.op("->>", return_type=String())(literal_column("0"))
    sign, hours, minutes = (func.substr(text, *span, type_=String()) for span in ((1, 1), (2, 2), (4, 2)))
    ahead = case((sign == "-", -1), else_=1) * (cast(hours, BigInteger) * 60 + cast(minutes, BigInteger))
    is_offset = text.op("~", return_type=Boolean())(text_value(r"^[+-]\d\d[0-5]\d$"))
    return case((is_offset, case((ahead.between(-12 * 60, 14 * 60), ahead))))


def _name(value: ColumnElement[Any], text: str, *, is_literal: bool) -> Clause:
    return name_clause([_group(value, 0), _group(value, 1), _group(value, 2)], text, is_literal=is_literal)


def name_clause(groups: Sequence[ColumnElement[Any]], text: str, *, is_literal: bool) -> Clause:
    """Return the condition that a name matches a text or pattern; groups that are not there are "" or NULL."""
    if "=" not in text:
        return or_(*(_group_clause(group, text, is_literal=is_literal) for group in groups))
    clauses: list[Clause] = [groups[0].is_not(None)] if len(text.strip("*= ")) == 0 else []
    for position, asked in enumerate(text.split("=")):
        if asked.strip("* "):
            if position >= len(groups):
                return false()
            clauses.append(_group_clause(groups[position], asked, is_literal=is_literal))
    return and_(*clauses)


def _group_clause(group: ColumnElement[Any], asked: str, *, is_literal: bool) -> Clause:
    if is_literal:
        normal = clean(normalise_name(asked))
        return and_(group == text_value(normal), group != "") if normal else false()
    forms = [clean(form) for form in name_pattern_forms(asked)]
    return and_(or_(*(like_clause(group, form) for form in forms)), group != "")


def like_clause(column: ColumnElement[Any], pattern: str) -> Clause:
    """Return the condition that a column matches a pattern, with the range of an index when it has a fixed beginning.

    The range is what a B-tree in C collation can use; LIKE alone could not, under row-level security. Text inside
    JSON has neither index nor that collation.
    """
    prefix = pattern.split("*", 1)[0].split("?", 1)[0]
    if prefix == pattern:
        return column == text_value(pattern)
    clause: Clause = column.like(text_value(like_pattern(pattern)))
    if prefix and isinstance(column, ColumnClause):
        clause = and_(column >= text_value(prefix), column < text_value(prefix + "\U0010ffff"), clause)
    return clause


def like_pattern(pattern: str) -> str:
    """Return the LIKE pattern of a DICOM wildcard pattern."""
    return like_escaped(clean(pattern)).replace("*", "%").replace("?", "_")


def like_escaped(text: str) -> str:
    """Return the LIKE pattern that the text alone matches."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def as_number(text: str) -> Decimal | None:
    """Return the number a text is, or None."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 400 else None


def text_value(text: str) -> ColumnElement[str]:
    """Return a parameter of type text."""
    return bindparam(None, clean(text), String)


def _as_text(value: ColumnElement[Any]) -> ColumnElement[str]:
    """Return a string term's text; NULL of other terms."""
    text = value.op("#>>", return_type=String())(literal_column("'{}'::text[]"))
    return case((func.jsonb_typeof(value) == "string", text))


def _microseconds(value: ColumnElement[Any], vr: str) -> ColumnElement[int]:
    return cast(value.op("->>", return_type=String())(text_value(vr)), BigInteger)


def _group(value: ColumnElement[Any], position: int) -> ColumnElement[str]:
    return value.op("->>", return_type=String())(bindparam(None, position, Integer))


def _is_name(value: ColumnElement[Any]) -> Clause:
    return func.jsonb_typeof(value) == "array"
