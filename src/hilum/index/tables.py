"""The tables searches read, as SQLAlchemy sees them; the migrations make them."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, ColumnClause, Date, Integer, LargeBinary, String, TableClause, Time, column, table
from sqlalchemy.dialects.postgresql import JSONB

from hilum.archive.query import Level


def _texts(*names: str) -> list[ColumnClause[Any]]:
    return [column(name, String) for name in names]


def _common(*keys: str) -> list[ColumnClause[Any]]:
    return [column("tenant_id", Integer), *(column(key, BigInteger) for key in keys), column("terms", JSONB)]


PATIENT_TABLE: Final[TableClause] = table(
    "patient",
    *_common("patient_key"),
    *_texts("identity", "patient_id", "issuer_of_patient_id", "patient_sex"),
    *_texts("name_alphabetic", "name_ideographic", "name_phonetic", "name_search"),
    column("patient_birth_date", Date),
    column("attributes", JSONB),
)
STUDY_TABLE: Final[TableClause] = table(
    "study",
    *_common("study_key", "patient_key"),
    *_texts("study_instance_uid", "accession_number", "study_id", "study_description"),
    *_texts("referring_physician_name_search"),
    column("study_date", Date),
    column("study_time", Time),
    column("attributes", JSONB),
)
SERIES_TABLE: Final[TableClause] = table(
    "series",
    *_common("series_key", "study_key"),
    *_texts("series_instance_uid", "modality"),
    column("series_number", BigInteger),
    column("performed_procedure_step_start_date", Date),
    column("attributes", JSONB),
)
INSTANCE_TABLE: Final[TableClause] = table(
    "instance",
    *_common("instance_key", "series_key"),
    *_texts("sop_instance_uid", "sop_class_uid"),
    column("instance_number", BigInteger),
    column("attributes", LargeBinary),
)
# Date, time and UID are those of the study.
STUDY_MODALITY_TABLE: Final[TableClause] = table(
    "study_modality",
    column("tenant_id", Integer),
    column("study_key", BigInteger),
    *_texts("modality", "study_instance_uid"),
    column("study_date", Date),
    column("study_time", Time),
)

LEVEL_TABLES: Final = {
    Level.PATIENT: PATIENT_TABLE,
    Level.STUDY: STUDY_TABLE,
    Level.SERIES: SERIES_TABLE,
    Level.INSTANCE: INSTANCE_TABLE,
}
LEVEL_KEYS: Final = {
    Level.PATIENT: "patient_key",
    Level.STUDY: "study_key",
    Level.SERIES: "series_key",
    Level.INSTANCE: "instance_key",
}
