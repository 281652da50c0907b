"""Attributes that describe what lies below an entity: how many there are, and of which kinds."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, FromClause, ScalarSelect, Subquery, cast, func, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by

from hilum.archive.query import Level
from hilum.index import tags
from hilum.index.tables import INSTANCE_TABLE, LEVEL_KEYS, LEVEL_TABLES, SERIES_TABLE, STUDY_MODALITY_TABLE

# Attribute to the level it describes, the level of the descendants it is worked out from, and the column it lists; it
# counts them where there is none.
_FROM_DESCENDANTS: Final = {
    tags.NUMBER_OF_PATIENT_RELATED_STUDIES: (Level.PATIENT, Level.STUDY, None),
    tags.NUMBER_OF_PATIENT_RELATED_SERIES: (Level.PATIENT, Level.SERIES, None),
    tags.NUMBER_OF_PATIENT_RELATED_INSTANCES: (Level.PATIENT, Level.INSTANCE, None),
    tags.NUMBER_OF_SERIES_RELATED_INSTANCES: (Level.SERIES, Level.INSTANCE, None),
    tags.SOP_CLASSES_IN_STUDY: (Level.STUDY, Level.INSTANCE, "sop_class_uid"),
}
_COUNTS_OF_STUDY: Final = {
    tags.NUMBER_OF_STUDY_RELATED_SERIES: "series_count",
    tags.NUMBER_OF_STUDY_RELATED_INSTANCES: "instance_count",
}


def described(page: Subquery, computed: Collection[str], tenant_id: int) -> tuple[FromClause, list[ColumnElement[Any]]]:
    """Return from where the rows of a page come with what describes their descendants, and that, labelled by tags.

    The page has the keys of its levels as columns.
    """
    source: FromClause = page
    expressions: list[ColumnElement[Any]] = []
    # One look at the series of a study serves both counts.
    counts = _counts_of_study(page, tenant_id) if not _COUNTS_OF_STUDY.keys().isdisjoint(computed) else None
    if counts is not None:
        source = page.join(counts, true())
    for tag in sorted(computed):
        if tag == tags.MODALITIES_IN_STUDY:
            expression: ColumnElement[Any] = _modalities(page, tenant_id)
        elif counts is not None and tag in _COUNTS_OF_STUDY:
            expression = counts.c[_COUNTS_OF_STUDY[tag]]
        else:
            expression = _of_descendants(tag, page, tenant_id)
        expressions.append(expression.label(tag))
    return source, expressions


def _modalities(page: Subquery, tenant_id: int) -> ScalarSelect[Any]:
    noted = STUDY_MODALITY_TABLE.alias("related_modality")
    listed = func.array_agg(aggregate_order_by(noted.c.modality, noted.c.modality))
    of_study = noted.c.study_key == page.c.study_key, noted.c.tenant_id == tenant_id
    return select(listed).where(*of_study).correlate(page).scalar_subquery()


def _counts_of_study(page: Subquery, tenant_id: int) -> FromClause:
    series = SERIES_TABLE.alias("related_series")
    instance = INSTANCE_TABLE.alias("related_instance")
    of_series = instance.c.series_key == series.c.series_key, instance.c.tenant_id == tenant_id
    instances = select(func.count()).select_from(instance).where(*of_series).correlate(series).scalar_subquery()
    of_study = series.c.study_key == page.c.study_key, series.c.tenant_id == tenant_id
    return (
        select(
            func.count().label("series_count"),
            cast(func.coalesce(func.sum(instances), 0), BigInteger).label("instance_count"),
        )
        .select_from(series)
        .where(*of_study)
        .correlate(page)
        .lateral("related")
    )


def _of_descendants(tag: str, page: Subquery, tenant_id: int) -> ScalarSelect[Any]:
    level, lowest, listed = _FROM_DESCENDANTS[tag]
    parent: FromClause = page
    on: list[ColumnElement[bool]] = []
    for at in Level:
        if level < at <= lowest:
            row = LEVEL_TABLES[at].alias(f"related_{at.name.lower()}")
            key = LEVEL_KEYS[Level(at - 1)]
            on += [row.c[key] == parent.c[key], row.c.tenant_id == tenant_id]
            parent = row
    expression: ColumnElement[Any] = func.count()
    if listed is not None:
        value = parent.c[listed]
        on.append(value.is_not(None))
        expression = func.array_agg(aggregate_order_by(value.distinct(), value))
    return select(expression).where(*on).correlate(page).scalar_subquery()
