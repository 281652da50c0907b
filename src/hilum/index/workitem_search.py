"""Searches for workitems: the matching of all searches, with typed columns to narrow what is looked at."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    String,
    TableClause,
    and_,
    bindparam,
    column,
    select,
    table,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from hilum.archive.query import Match
from hilum.archive.workitems import WorkitemQuery
from hilum.dicom.conditions import AnyOf, Condition, Range, Single, UidList
from hilum.dicom.dictionary import tag_of
from hilum.dicom.temporal import temporal_interval
from hilum.index.search_terms import terms_clause
from hilum.index.terms import clean

WORKITEM_TABLE: Final[TableClause] = table(
    "workitem",
    column("tenant_id", Integer),
    column("workitem_key", BigInteger),
    column("sop_instance_uid", String),
    column("state", String),
    column("patient_id", String),
    column("worklist_label", String),
    column("starts_at", DateTime(timezone=True)),
    column("attributes", JSONB),
    column("terms", JSONB),
)
_TEXT_COLUMNS: Final = {
    tag_of("SOPInstanceUID"): "sop_instance_uid",
    tag_of("ProcedureStepState"): "state",
    tag_of("PatientID"): "patient_id",
    tag_of("WorklistLabel"): "worklist_label",
}
_START: Final = tag_of("ScheduledProcedureStepStartDateTime")


def search_statement(tenant_id: int, query: WorkitemQuery) -> Select[Any]:
    """Return the statement for the attributes, key and UID of what matches, earliest scheduled start first."""
    columns = WORKITEM_TABLE.c
    clauses = [clause for match in query.matches if (clause := _narrowing(match)) is not None]
    return (
        select(columns.attributes, columns.workitem_key, columns.sop_instance_uid)
        .where(columns.tenant_id == bindparam(None, tenant_id, Integer))
        .where(and_(true(), *clauses))
        .where(terms_clause(columns.terms, [(match.path, match.condition) for match in query.matches]))
        .order_by(columns.starts_at.asc().nulls_last(), columns.workitem_key)
        .limit(query.limit)
        .offset(query.offset)
    )


def _narrowing(match: Match) -> ColumnElement[bool] | None:
    """Return a condition on a typed column that the match implies, if there is one."""
    if len(match.path) > 1:
        return None
    name = _TEXT_COLUMNS.get(match.path[0])
    if name is not None:
        texts = _texts(match.condition)
        return None if texts is None else WORKITEM_TABLE.c[name].in_([clean(text.strip(" \0")) for text in texts])
    if match.path[0] == _START:
        return _start(match.condition)
    return None


def _texts(condition: Condition) -> list[str] | None:
    match condition:
        case Single(value):
            return [value]
        case UidList(values):
            return list(values)
        case AnyOf(alternatives):
            singles = [each.value for each in alternatives if isinstance(each, Single)]
            return singles if len(singles) == len(alternatives) else None
    return None


def _start(condition: Condition) -> ColumnElement[bool] | None:
    starts_at = WORKITEM_TABLE.c.starts_at
    match condition:
        case Single(value):
            low = high = temporal_interval("DT", value)
        case Range(first, last):
            low = temporal_interval("DT", first) if first else None
            high = temporal_interval("DT", last) if last else None
        case _:
            return None
    clauses: list[ColumnElement[bool]] = []
    if low is not None:
        clauses.append(starts_at >= bindparam(None, low[0], DateTime(timezone=True)))
    if high is not None:
        clauses.append(starts_at <= bindparam(None, high[1], DateTime(timezone=True)))
    return and_(true(), *clauses)
