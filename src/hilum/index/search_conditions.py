"""From one matching key to SQL: by a typed column and its index where there is one, else by the tree of terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Date, FromClause, Time, and_, bindparam, false, or_, true

from hilum.archive.query import AttributePath, Level, Match, MomentMatch
from hilum.dicom.levels import level_of
from hilum.dicom.matching import AnyOf, Condition, Fuzzy, Range, Single, UidList, Universal, Wildcard, normalise_name
from hilum.dicom.names import name_pattern_forms
from hilum.dicom.temporal import temporal_interval
from hilum.index import tags
from hilum.index.search_places import is_place
from hilum.index.search_terms import (
    Clause,
    as_number,
    like_clause,
    like_escaped,
    like_pattern,
    moment_terms_clause,
    name_clause,
    terms_clause,
    text_value,
)
from hilum.index.terms import clean, search_form

TEXT_COLUMNS: Final = {
    tags.PATIENT_ID: "patient_id",
    tags.ISSUER_OF_PATIENT_ID: "issuer_of_patient_id",
    tags.PATIENT_SEX: "patient_sex",
    tags.STUDY_INSTANCE_UID: "study_instance_uid",
    tags.ACCESSION_NUMBER: "accession_number",
    tags.STUDY_ID: "study_id",
    tags.STUDY_DESCRIPTION: "study_description",
    tags.SERIES_INSTANCE_UID: "series_instance_uid",
    tags.MODALITY: "modality",
    tags.SOP_INSTANCE_UID: "sop_instance_uid",
    tags.SOP_CLASS_UID: "sop_class_uid",
}
DATE_COLUMNS: Final = {
    tags.PATIENT_BIRTH_DATE: "patient_birth_date",
    tags.STUDY_DATE: "study_date",
    tags.PERFORMED_PROCEDURE_STEP_START_DATE: "performed_procedure_step_start_date",
}
_TIME_COLUMNS: Final = {tags.STUDY_TIME: "study_time"}
_INTEGER_COLUMNS: Final = {
    tags.SERIES_NUMBER: "series_number",
    tags.INSTANCE_NUMBER: "instance_number",
}
TYPED_COLUMNS: Final = TEXT_COLUMNS | DATE_COLUMNS | _TIME_COLUMNS | _INTEGER_COLUMNS
_NAME_SEARCH_COLUMNS: Final = {
    tags.PATIENT_NAME: "name_search",
    tags.REFERRING_PHYSICIAN_NAME: "referring_physician_name_search",
}
_NAME_COLUMNS: Final = ("name_alphabetic", "name_ideographic", "name_phonetic")

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)

# What is worked out from descendants, and matched there.
COLLECTED: Final = {
    tags.MODALITIES_IN_STUDY: (Level.SERIES, "modality"),
    tags.SOP_CLASSES_IN_STUDY: (Level.INSTANCE, "sop_class_uid"),
}


def match_level(path: AttributePath) -> Level:
    """Return the level whose rows decide about a matching key."""
    return Level(level_of(path[0]))


def is_supported(match: Match) -> bool:
    """Return whether the index can match a key."""
    tag = match.path[0]
    if (
        isinstance(match.condition, Universal)
        or tag in _IGNORED
        or tag in COLLECTED
        or tag == tags.INSTANCE_AVAILABILITY
    ):
        return True
    if tag in tags.COUNTS:
        return False
    return match_level(match.path) is not Level.INSTANCE or tag in tags.INSTANCE_TERMS


# Says how the query's own text was written, and is no key (PS3.4 §C.2.2.2).
_IGNORED: Final = frozenset({tags.SPECIFIC_CHARACTER_SET})


def row_clause(row: FromClause, matches: Sequence[Match]) -> Clause:
    """Return the condition that one row satisfies all keys of its level."""
    clauses: list[Clause] = []
    by_terms: list[tuple[AttributePath, Condition]] = []
    for match in matches:
        tag, condition = match.path[0], match.condition
        if isinstance(condition, Universal) or tag in _IGNORED:
            continue
        if len(match.path) > 1:
            by_terms.append((match.path, condition))
        elif tag in TYPED_COLUMNS:
            clauses.append(_typed_clause(row, tag, condition))
        elif tag in _NAME_SEARCH_COLUMNS:
            is_patient = tag == tags.PATIENT_NAME and isinstance(condition, Single | Wildcard | AnyOf)
            if not (is_patient and _has_fixed_beginning(condition)):
                clauses.append(_name_hint(row.c[_NAME_SEARCH_COLUMNS[tag]], condition))
            if is_patient:
                clauses.append(_patient_name_clause(row, condition))
            else:
                by_terms.append((match.path, condition))
        else:
            by_terms.append((match.path, condition))
    if by_terms:
        clauses.append(terms_clause(row.c.terms, by_terms))
    return and_(*clauses) if clauses else true()


def moment_clause(row: FromClause, moment: MomentMatch) -> Clause:
    """Return the condition that one row satisfies a combined date and time range, as `matches_combined` has it."""
    clauses = [moment_terms_clause(row.c.terms, moment)]
    column = DATE_COLUMNS.get(moment.date_tag)
    if column is not None:
        # What the column's index can find; a zone moves a moment to another day.
        margin = timedelta(days=0 if moment.offset_minutes is None else 2)
        for date, is_low in ((moment.dates.low, True), (moment.dates.high, False)):
            interval = temporal_interval("DA", date) if date else None
            if interval is not None and _EARLIEST + margin < interval[0] < _LATEST - margin:
                bound = bindparam(None, (interval[0] - margin if is_low else interval[0] + margin).date(), Date)
                clauses.append(row.c[column] >= bound if is_low else row.c[column] <= bound)
    return and_(*clauses)


def _typed_clause(row: FromClause, tag: str, condition: Condition) -> Clause:
    if tag in TEXT_COLUMNS:
        return text_clause(row.c[TEXT_COLUMNS[tag]], condition)
    if tag in DATE_COLUMNS:
        return _temporal_clause(row.c[DATE_COLUMNS[tag]], "DA", condition, lambda m: bindparam(None, m.date(), Date))
    if tag in _TIME_COLUMNS:
        return _temporal_clause(row.c[_TIME_COLUMNS[tag]], "TM", condition, lambda m: bindparam(None, m.time(), Time))
    return _integer_clause(row.c[_INTEGER_COLUMNS[tag]], condition)


def text_clause(column: ColumnElement[Any], condition: Condition) -> Clause:
    """Return the condition on a column of text that is no name."""
    if isinstance(condition, AnyOf):
        return or_(*(text_clause(column, alternative) for alternative in condition.alternatives))
    if isinstance(condition, Single):
        return column == text_value(plain_text(condition.value))
    if isinstance(condition, UidList):
        return column.in_([plain_text(uid) for uid in condition.values])
    if isinstance(condition, Wildcard):
        return like_clause(column, condition.pattern.strip())
    return column.is_not(None) if isinstance(condition, Universal) else false()


def plain_text(text: str) -> str:
    """Return text as such a column is compared with it."""
    return clean(text.strip(" \0"))


def _temporal_clause(
    column: ColumnElement[Any], vr: str, condition: Condition, bound: Callable[[Any], ColumnElement[Any]]
) -> Clause:
    if isinstance(condition, AnyOf):
        return or_(*(_temporal_clause(column, vr, a, bound) for a in condition.alternatives))
    if isinstance(condition, Single):
        condition = Range(condition.value, condition.value)
    if not isinstance(condition, Range):
        return false()
    clauses: list[Clause] = [column.is_not(None)]
    for text, is_low in ((condition.low, True), (condition.high, False)):
        if not text:
            continue
        end: ColumnElement[Any] | None
        if is_place(text):
            end = bindparam(None, text, column.type)
        else:
            interval = temporal_interval(vr, text)
            end = None if interval is None else bound(interval[0 if is_low else 1])
        clauses.append(false() if end is None else column >= end if is_low else column <= end)
    return and_(*clauses)


def _integer_clause(column: ColumnElement[Any], condition: Condition) -> Clause:
    if isinstance(condition, AnyOf):
        return or_(*(_integer_clause(column, alternative) for alternative in condition.alternatives))
    number = as_number(condition.value) if isinstance(condition, Single) else None
    if number is None or number != number.to_integral_value() or abs(number) >= 2**63:
        return false()
    return column == bindparam(None, int(number), BigInteger)


def _patient_name_clause(row: FromClause, condition: Condition) -> Clause:
    if isinstance(condition, AnyOf):
        return or_(*(_patient_name_clause(row, alternative) for alternative in condition.alternatives))
    groups = [row.c[name] for name in _NAME_COLUMNS]
    if isinstance(condition, Single):
        return name_clause(groups, condition.value, is_literal=True)
    if isinstance(condition, Wildcard):
        return name_clause(groups, condition.pattern, is_literal=False)
    return false()


def _has_fixed_beginning(condition: Condition) -> bool:
    """Return whether the B-trees over the name's groups can find what is asked for."""
    if isinstance(condition, AnyOf):
        return all(_has_fixed_beginning(alternative) for alternative in condition.alternatives)
    return isinstance(condition, Single) or (
        isinstance(condition, Wildcard) and not condition.pattern.strip().startswith(("*", "?", "="))
    )


def _name_hint(column: ColumnElement[Any], condition: Condition) -> Clause:
    """Return a condition that holds whenever the exact one does, and that the trigram index can answer."""
    if isinstance(condition, AnyOf):
        return or_(*(_name_hint(column, alternative) for alternative in condition.alternatives))
    if isinstance(condition, Fuzzy):
        return and_(true(), *(column.like(f"% {like_escaped(search_form(clean(w)))}%") for w in condition.words))
    if isinstance(condition, Single):
        asked: list[tuple[str, ...]] = [(normalise_name(group),) for group in condition.value.split("=")]
    elif isinstance(condition, Wildcard):
        asked = [name_pattern_forms(group) for group in condition.pattern.split("=")]
    else:
        return true()
    return and_(
        true(),
        *(
            # A character beyond ASCII is spelt by several here, so "?" may stand for more than one.
            or_(*(column.like(f"% {like_pattern(search_form(clean(f)).replace('?', '*'))} %") for f in forms))
            for forms in asked
            if all(form.strip("* ") for form in forms)
        ),
    )
