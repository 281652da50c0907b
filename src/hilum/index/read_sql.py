"""The statements of retrieval."""

# ruff: noqa: S608 - the statements are put together from constants

from __future__ import annotations

from typing import Any, Final

from hilum.archive.query import InstanceSelection
from hilum.kernel.limits import RETRIEVE_READ_AHEAD_BYTES

_STORED_COLUMNS: Final = """
SELECT instance_key, study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid, transfer_syntax_uid,
    blob_key, size_bytes, data_set_offset, frame_count, has_bulk_data, {frame_index} AS frame_index
FROM study
JOIN series USING (study_key, tenant_id)
JOIN instance USING (series_key, tenant_id)
"""
_STORED: Final = (
    _STORED_COLUMNS
    + """
WHERE study.tenant_id = $1 AND study.study_instance_uid = $2
    {series} {instance}
ORDER BY series_number, series_instance_uid, instance_number, sop_instance_uid
"""
)


def find_instances(*, by_series: bool, by_instance: bool, with_frame_index: bool) -> str:
    """Return the statement for a study ($2) and, where asked for, a series ($3) and an instance ($4) of it."""
    return _STORED.format(
        frame_index="frame_index" if with_frame_index else "NULL::bytea",
        series="AND series.series_instance_uid = $3" if by_series else "AND $3::text IS NULL",
        instance="AND instance.sop_instance_uid = $4" if by_instance else "AND $4::text IS NULL",
    )


def select_instances(selection: InstanceSelection) -> tuple[str, list[Any]]:
    """Return the statement for instances named by unique keys, and its parameters after tenant ($1) and limit ($2)."""
    keys: tuple[tuple[str, Any], ...] = (
        ("patient.patient_id =", selection.patient_id),
        ("patient.issuer_of_patient_id =", selection.issuer_of_patient_id),
        ("study.study_instance_uid = ANY", list(selection.study_instance_uids)),
        ("series.series_instance_uid = ANY", list(selection.series_instance_uids)),
        ("instance.sop_instance_uid = ANY", list(selection.sop_instance_uids)),
    )
    given = [(condition, value) for condition, value in keys if value not in (None, [])]
    conditions = [f"{condition} (${number})" for number, (condition, _) in enumerate(given, start=3)]
    # The order is that of reading, study by study: what is sent in it can be looked at while the rest is coming.
    frame_index = f"CASE WHEN size_bytes > {RETRIEVE_READ_AHEAD_BYTES} THEN frame_index END"
    statement = f"""{_STORED_COLUMNS.format(frame_index=frame_index)}
JOIN patient USING (patient_key, tenant_id)
WHERE study.tenant_id = $1 AND {" AND ".join(conditions or ["false"])}
ORDER BY study_instance_uid, series_number, series_instance_uid, instance_number, sop_instance_uid
LIMIT $2
"""
    return statement, [value for _, value in given]


READ_ATTRIBUTES: Final = """
SELECT attributes FROM unnest($2::bigint[]) WITH ORDINALITY AS t (instance_key, position)
JOIN instance USING (instance_key) WHERE tenant_id = $1
ORDER BY position
"""

_SERIES: Final = """
FROM study JOIN series USING (study_key, tenant_id)
WHERE study.tenant_id = $1 AND study.study_instance_uid = $2 AND series.series_instance_uid = $3
"""

# How many instances, and a sum of hashes of key and version: adding, removing or replacing one changes it.
_STAMP: Final = """(
    SELECT count(*) || '-' || COALESCE(sum(hashint8extended(instance_key, version)), 0)
    FROM instance WHERE instance.tenant_id = $1 AND instance.series_key = series.series_key
)"""

SERIES_STAMP: Final = f"SELECT {_STAMP} AS stamp {_SERIES}"

READ_SERIES_METADATA: Final = f"""
SELECT {_STAMP} AS current_stamp, m.stamp, m.has_placeholders, m.gzip_json
FROM study
JOIN series USING (study_key, tenant_id)
JOIN series_metadata m USING (series_key, tenant_id)
WHERE study.tenant_id = $1 AND study.study_instance_uid = $2 AND series.series_instance_uid = $3
"""

WRITE_SERIES_METADATA: Final = f"""
INSERT INTO series_metadata (tenant_id, series_key, stamp, has_placeholders, gzip_json)
SELECT $1, series.series_key, $4, $5, $6 {_SERIES}
ON CONFLICT (series_key, tenant_id) DO UPDATE SET
    stamp = EXCLUDED.stamp, has_placeholders = EXCLUDED.has_placeholders, gzip_json = EXCLUDED.gzip_json,
    made_at = now()
"""

TENANTS: Final = "SELECT tenant_id FROM tenant ORDER BY tenant_id"

KNOWN_BLOB_KEYS: Final = """
SELECT blob_key FROM instance WHERE tenant_id = $1 AND blob_key = ANY($2)
UNION ALL
SELECT blob_key FROM instance_version WHERE tenant_id = $1 AND blob_key = ANY($2)
"""
