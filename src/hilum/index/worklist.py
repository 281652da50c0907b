"""Worklist items: rows of one table, and what a query for them is in SQL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import asyncpg
import orjson
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Interval,
    Select,
    String,
    Time,
    and_,
    any_,
    bindparam,
    case,
    cast,
    column,
    false,
    func,
    literal_column,
    or_,
    select,
    table,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from hilum.archive.query import Match
from hilum.archive.worklist import (
    FIELDS,
    OPEN_STATUSES,
    JobsOfItem,
    StepStatus,
    WorklistItem,
    WorklistQuery,
    apart_from_start,
    combined_start,
    values_at,
)
from hilum.dicom.conditions import Range, Single, Universal, Wildcard
from hilum.dicom.temporal import combined_interval, temporal_interval
from hilum.index.enqueue import enqueue
from hilum.index.pool import Connection, TenantPool
from hilum.index.search import compiled_sql
from hilum.index.search_conditions import text_clause
from hilum.index.search_terms import Clause, name_clause, offset_minutes, terms_clause, text_value
from hilum.index.terms import clean, first_name, json_text, terms_of
from hilum.kernel.errors import Conflict

_COLUMNS: Final = "item_key, status, attributes, created_at, changed_at"
_VALUES: Final = (
    *("status", "is_open", "station_ae_titles", "start_date", "start_time", "starts_from", "starts_until", "modality"),
    *("patient_id", "name_alphabetic", "name_ideographic", "name_phonetic", "accession_number"),
    *("requested_procedure_id", "study_instance_uid", "scheduled_procedure_step_id", "attributes", "terms"),
    *("created_at", "changed_at"),
)
# The statements are put together from the constants above.
_INSERT: Final = f"""
INSERT INTO worklist_item (tenant_id, {", ".join(_VALUES)})
VALUES ($1, {", ".join(f"${number}" for number in range(2, len(_VALUES) + 2))}) RETURNING item_key
"""  # noqa: S608
_UPDATE: Final = f"""
UPDATE worklist_item SET ({", ".join(_VALUES)}) = ({", ".join(f"${number}" for number in range(3, len(_VALUES) + 3))})
WHERE tenant_id = $1 AND item_key = $2
"""  # noqa: S608
_FIND: Final = f"SELECT {_COLUMNS} FROM worklist_item WHERE tenant_id = $1 AND item_key = $2"  # noqa: S608

# Others may be at it too, and somebody may be taking an item up again.
_FORGET_ENDED: Final = """
DELETE FROM worklist_item WHERE tenant_id = $1 AND item_key = ANY(ARRAY(
    SELECT item_key FROM worklist_item WHERE tenant_id = $1 AND NOT is_open AND changed_at < $2
    ORDER BY changed_at LIMIT $3 FOR UPDATE SKIP LOCKED))
"""

_TEXT_COLUMNS: Final = {
    FIELDS[name]: name
    for name in (
        *("patient_id", "accession_number", "requested_procedure_id", "study_instance_uid"),
        *("modality", "scheduled_procedure_step_id"),
    )
}
_STATION: Final = FIELDS["scheduled_station_ae_title"]
_NAME: Final = FIELDS["patient_name"]
_DATE: Final = FIELDS["scheduled_procedure_step_start_date"]
_TIME: Final = FIELDS["scheduled_procedure_step_start_time"]

_ITEM: Final = table(
    "worklist_item",
    *(column(name, String) for name in _TEXT_COLUMNS.values()),
    *(column(name, String) for name in ("name_alphabetic", "name_ideographic", "name_phonetic", "status")),
    *(column(name) for name in ("tenant_id", "item_key", "created_at", "changed_at")),
    column("is_open", Boolean),
    column("station_ae_titles", ARRAY(String)),
    column("start_date", Date),
    column("start_time", Time),
    column("starts_from", DateTime),
    column("starts_until", DateTime),
    column("attributes", JSONB),
    column("terms", JSONB),
)
_PAGE: Final = 500
_TIME_PLACE: Final = (_TIME[0], "Value", "0", _TIME[1], "Value", "0")
# A time with minutes: "1015".
_MINUTES_LENGTH: Final = 4
# From 12 hours behind Greenwich to 14 ahead of it.
_MOST_DAYS_BETWEEN_ZONES: Final = 2


class PostgresWorklist:
    """Implements `hilum.archive.worklist.Worklist`.

    Args:
        writing: the worker's connections for writing.
        reading: the worker's connections for reading.
    """

    def __init__(self, writing: TenantPool, reading: TenantPool) -> None:
        self._writing = writing
        self._reading = reading

    async def add(self, tenant_id: int, item: WorklistItem, jobs: JobsOfItem | None = None) -> WorklistItem:
        """Keep a new item, with the jobs it calls for, and return it with its key.

        Raises:
            Conflict: the study has a step of this Scheduled Procedure Step ID.
        """
        async with self._writing.use(tenant_id) as connection, connection.transaction():
            try:
                key = await connection.fetchval(_INSERT, tenant_id, *_row(item))
            except asyncpg.UniqueViolationError as error:
                raise _taken() from error
            kept = replace(item, item_key=int(key))
            if jobs is not None:
                await enqueue(connection, tenant_id, jobs(kept))
        return kept

    async def find(self, tenant_id: int, item_key: int) -> WorklistItem | None:
        """Return an item, or None."""
        async with self._reading.use(tenant_id) as connection:
            record = await connection.fetchrow(_FIND, tenant_id, item_key)
        return None if record is None else worklist_item(record)

    async def change(
        self, tenant_id: int, item_key: int, work: Callable[[WorklistItem], WorklistItem]
    ) -> WorklistItem | None:
        """Keep what `work` makes of the item; None: there is no such item.

        Raises:
            Conflict: the study has another step of this Scheduled Procedure Step ID.
        """
        async with self._writing.use(tenant_id) as connection, connection.transaction():
            record = await connection.fetchrow(f"{_FIND} FOR UPDATE", tenant_id, item_key)
            if record is None:
                return None
            item = work(worklist_item(record))
            try:
                await write_item(connection, tenant_id, item)
            except asyncpg.UniqueViolationError as error:
                raise _taken() from error
        return item

    async def remove(self, tenant_id: int, item_key: int) -> bool:
        """Forget an item; False when there is none."""
        async with self._writing.use(tenant_id) as connection:
            done = await connection.execute(
                "DELETE FROM worklist_item WHERE tenant_id = $1 AND item_key = $2", tenant_id, item_key
            )
        return str(done) != "DELETE 0"

    async def forget_ended(self, tenant_id: int, before: datetime, limit: int) -> int:
        """Forget up to `limit` items that are not open and changed last before that; return how many they were."""
        async with self._writing.use(tenant_id) as connection:
            done = await connection.execute(_FORGET_ENDED, tenant_id, before, limit)
        return int(str(done).removeprefix("DELETE "))

    async def search(self, tenant_id: int, query: WorklistQuery) -> AsyncGenerator[WorklistItem]:
        """Yield what a query finds, earliest start first, from a cursor.

        Raises:
            LimitExceeded: the query takes too long.
        """
        statement = (
            select(_ITEM.c.item_key, _ITEM.c.status, _ITEM.c.attributes, _ITEM.c.created_at, _ITEM.c.changed_at)
            .where(_clause(tenant_id, query))
            .order_by(_ITEM.c.start_date, _ITEM.c.start_time, _ITEM.c.item_key)
            .limit(query.limit)
            .offset(query.offset)
        )
        sql, parameters = compiled_sql(statement)
        async with self._reading.use(tenant_id) as connection, connection.transaction():
            cursor = await connection.cursor(sql, *parameters)
            records = await cursor.fetch(_PAGE)
            while len(records) == _PAGE:
                for record in records:
                    yield worklist_item(record)
                records = await cursor.fetch(_PAGE)
        # The last page, mostly the only one, keeps no connection from others however slowly it is taken.
        for record in records:
            yield worklist_item(record)

    async def count(self, tenant_id: int, query: WorklistQuery) -> int:
        """Return how many items a query finds, whatever its limit and offset."""
        statement: Select[Any] = select(func.count()).select_from(_ITEM).where(_clause(tenant_id, query))
        sql, parameters = compiled_sql(statement)
        async with self._reading.use(tenant_id) as connection:
            return int(await connection.fetchval(sql, *parameters))


def worklist_item(record: asyncpg.Record) -> WorklistItem:
    """Return the item of a row with the columns `item_key, status, attributes, created_at, changed_at`."""
    return WorklistItem(
        item_key=record["item_key"],
        status=StepStatus(record["status"]),
        attributes=orjson.loads(record["attributes"]),
        created_at=record["created_at"],
        changed_at=record["changed_at"],
    )


async def write_item(connection: Connection, tenant_id: int, item: WorklistItem) -> None:
    """Write an item that is there already."""
    await connection.execute(_UPDATE, tenant_id, item.item_key, *_row(item))


def _taken() -> Conflict:
    return Conflict("the study has a step of this id already", code="step-taken", attribute="ScheduledProcedureStepID")


def _row(item: WorklistItem) -> tuple[Any, ...]:
    attributes = item.attributes
    names = first_name(attributes, _NAME[0])
    date, time = item.text("scheduled_procedure_step_start_date"), item.value("scheduled_procedure_step_start_time")
    day = temporal_interval("DA", date)
    hour = temporal_interval("TM", str(time)) if time is not None else None
    moment = combined_interval(date, None if time is None else str(time))
    return (
        item.status.value,
        item.status in OPEN_STATUSES,
        [clean(str(title).strip()) for title in values_at(attributes, _STATION)],
        None if day is None else day[0].date(),
        None if hour is None else hour[0].time(),
        None if moment is None else moment[0].replace(tzinfo=None),
        None if moment is None else moment[1 if hour is None else 0].replace(tzinfo=None),
        _text(item, "modality"),
        _text(item, "patient_id"),
        *(name or None for name in names),
        _text(item, "accession_number"),
        _text(item, "requested_procedure_id"),
        clean(item.text("study_instance_uid")),
        clean(item.text("scheduled_procedure_step_id")),
        json_text(attributes),
        json_text(terms_of(attributes)),
        item.created_at,
        item.changed_at,
    )


def _text(item: WorklistItem, field: str) -> str | None:
    return clean(item.text(field)) or None


def _clause(tenant_id: int, query: WorklistQuery) -> Clause:
    clauses: list[Clause] = [_ITEM.c.tenant_id == bindparam(None, tenant_id)]
    if query.statuses is not None:
        # The plain column is what the index of open items is made for.
        is_usual = query.statuses == OPEN_STATUSES
        clauses.append(_ITEM.c.is_open if is_usual else _ITEM.c.status.in_(sorted(query.statuses)))
    start = _Start.of_rows() if query.offset_minutes is None else _Start.in_zone(query.offset_minutes)
    combined = combined_start(query.matches)
    matches = apart_from_start(query.matches) if combined else query.matches
    if combined is not None:
        clauses.append(_combined_clause(*combined, start))
    others: list[Match] = []
    for match in matches:
        clause = None if isinstance(match.condition, Universal) else _column_clause(match, start)
        if clause is not None:
            clauses.append(clause)
        else:
            others.append(match)
    clauses.append(terms_clause(_ITEM.c.terms, [(match.path, match.condition) for match in others]))
    return and_(*clauses)


def _column_clause(match: Match, start: _Start) -> Clause | None:
    """Return the condition on the typed column of a key, or None where the terms have to tell."""
    condition = match.condition
    if match.path in _TEXT_COLUMNS:
        return text_clause(_ITEM.c[_TEXT_COLUMNS[match.path]], condition)
    if match.path == _STATION and isinstance(condition, Single):
        return text_value(condition.value.strip(" \0")) == any_(_ITEM.c.station_ae_titles)
    if match.path == _NAME and isinstance(condition, Single | Wildcard):
        groups = [_ITEM.c.name_alphabetic, _ITEM.c.name_ideographic, _ITEM.c.name_phonetic]
        text = condition.value if isinstance(condition, Single) else condition.pattern
        return name_clause(groups, text, is_literal=isinstance(condition, Single))
    if match.path in (_DATE, _TIME) and isinstance(condition, Single | Range):
        return _start_clause(match.path, condition, start)
    return None


@dataclass(frozen=True, slots=True)
class _Start:
    """When the step of a row begins, as SQL: its date and time, and its first and last moment.

    `slack_days` is how far the date can be from that of the row, which the index begins with.
    """

    date: ColumnElement[Any]
    time: ColumnElement[Any]
    first: ColumnElement[Any]
    last: ColumnElement[Any]
    slack_days: int

    @classmethod
    def of_rows(cls) -> _Start:
        """Return the start as it was entered."""
        return cls(_ITEM.c.start_date, _ITEM.c.start_time, _ITEM.c.starts_from, _ITEM.c.starts_until, 0)

    @classmethod
    def in_zone(cls, zone_minutes: int) -> _Start:
        """Return the start as `archive.worklist.in_zone` moves it: not where the row tells no zone, or no time."""
        ahead = zone_minutes - offset_minutes(_ITEM.c.terms)
        time = _ITEM.c.attributes.op("#>>", return_type=String())(cast(list(_TIME_PLACE), ARRAY(String)))
        # A time of hours alone is moved by whole hours only.
        is_movable = or_(func.char_length(func.btrim(time)) >= _MINUTES_LENGTH, ahead % 60 == 0)
        is_known = and_(_ITEM.c.start_date.is_not(None), _ITEM.c.start_time.is_not(None))
        minutes = func.coalesce(case((and_(is_known, is_movable), ahead)), literal_column("0"))
        shift = func.make_interval(0, 0, 0, 0, 0, cast(minutes, Integer), type_=Interval())
        first = type_coerce(_ITEM.c.starts_from + shift, DateTime)
        last = type_coerce(_ITEM.c.starts_until + shift, DateTime)
        # A time of day runs over midnight by itself.
        hour = type_coerce(_ITEM.c.start_time + shift, Time)
        return cls(cast(first, Date), hour, first, last, _MOST_DAYS_BETWEEN_ZONES)

    def day_clause(self, bound: datetime, *, is_low: bool) -> Clause:
        """Return what has to hold of the row's own date if the step begins after, or before, a moment."""
        slack = literal_column(str(self.slack_days), Integer)
        day = bindparam(None, bound.date(), Date)
        return _ITEM.c.start_date >= day - slack if is_low else _ITEM.c.start_date <= day + slack


def _start_clause(path: tuple[str, ...], condition: Single | Range, start: _Start) -> Clause:
    vr, of_row, kind = ("DA", start.date, Date) if path == _DATE else ("TM", start.time, Time)
    asked = (condition.low, condition.high) if isinstance(condition, Range) else (condition.value, condition.value)
    clauses: list[Clause] = [of_row.is_not(None)]
    for end, text in enumerate(asked):
        if text:
            interval = temporal_interval(vr, text)
            if interval is None:
                return false()
            moment = interval[end]
            bound: ColumnElement[Any] = bindparam(None, moment.date() if vr == "DA" else moment.time(), kind)
            clauses.append(of_row <= bound if end else of_row >= bound)
            if vr == "DA" and start.slack_days:
                clauses.append(start.day_clause(moment, is_low=not end))
    return and_(*clauses)


def _combined_clause(dates: Range, times: Range, start: _Start) -> Clause:
    """Return the condition that a step begins from the low to the high end; see `matches_combined`."""
    clauses: list[Clause] = [start.first.is_not(None)]
    if dates.low is not None:
        low = combined_interval(dates.low, times.low)
        if low is None:
            return false()
        clauses.append(start.last >= bindparam(None, low[0].replace(tzinfo=None), DateTime))
        # For the index, which begins with the date.
        clauses.append(start.day_clause(low[0], is_low=True))
    if dates.high is not None:
        high = combined_interval(dates.high, times.high)
        if high is None:
            return false()
        clauses.append(start.first <= bindparam(None, high[1].replace(tzinfo=None), DateTime))
        clauses.append(start.day_clause(high[1], is_low=False))
    return and_(*clauses)
