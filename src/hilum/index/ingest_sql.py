"""The statements of ingest. Everything about one batch stands in arrays, so that each is one round trip."""

# ruff: noqa: S608 - the statements are put together from constants

from __future__ import annotations

from typing import Final

# Columns of `instance` that a draft brings, with their types, in the order of `InstanceRow.values`.
INSTANCE_COLUMNS: Final = {
    "sop_instance_uid": "text",
    "sop_class_uid": "text",
    "transfer_syntax_uid": "text",
    "instance_number": "bigint",
    "frame_count": "integer",
    "has_bulk_data": "boolean",
    "data_set_offset": "integer",
    "size_bytes": "bigint",
    "received_at": "timestamptz",
    "digest": "bytea",
    "blob_key": "text",
    "damage": "jsonb",
    "origin": "jsonb",
    "terms": "jsonb",
    "attributes": "bytea",
    "frame_index": "bytea",
}
# What the index knows of a draft besides.
_PLACED_COLUMNS: Final = {"series_key": "bigint", "patient_differs": "boolean"}
_UID_COLUMNS: Final = {"study_instance_uid": "text", "series_instance_uid": "text"}

_INPUT: Final = _PLACED_COLUMNS | INSTANCE_COLUMNS | _UID_COLUMNS
_STORED: Final = ", ".join(_PLACED_COLUMNS | INSTANCE_COLUMNS)
_ARRAYS: Final = ", ".join(f"${i}::{sql_type}[]" for i, sql_type in enumerate(_INPUT.values(), start=3))

_INPUT_OF_MANY: Final = f"SELECT * FROM unnest({_ARRAYS}) WITH ORDINALITY AS t ({', '.join(_INPUT)}, position)"
_INPUT_OF_ONE: Final = "SELECT {}, 1::bigint AS position".format(
    ", ".join(f"${i}::{sql_type} AS {name}" for i, (name, sql_type) in enumerate(_INPUT.items(), start=3))
)


def _add(rows: str) -> str:
    """Return the statement that adds the rows which the query `rows` makes of its parameters from $3 on.

    $1 is the tenant, $2 whether to insert although some row carries the UID of an instance with other content.
    Returns the rows that were not inserted and whether the instance that is there has the same content (NULL when it
    came in while this statement ran). Without $2 one such row keeps all from being inserted: the batch is then written
    in a transaction that replaces. What is present is looked up by a scalar subquery, since a join planned while the
    table is small would read all of it for ever after.
    """
    return f"""
WITH input AS MATERIALIZED (
    {rows}
), present AS MATERIALIZED (
    SELECT position, (
        SELECT instance.digest = input.digest FROM instance
        WHERE instance.tenant_id = $1 AND instance.sop_instance_uid = input.sop_instance_uid
    ) AS is_same FROM input
), added AS (
    INSERT INTO instance (tenant_id, {_STORED})
    SELECT $1, {_STORED} FROM input
    WHERE $2 OR NOT EXISTS (SELECT FROM present WHERE NOT is_same)
    ORDER BY position
    ON CONFLICT (sop_instance_uid, tenant_id) DO NOTHING
    RETURNING instance_key, sop_instance_uid
), fed AS (
    INSERT INTO change_feed
        (tenant_id, action, instance_key, version, study_instance_uid, series_instance_uid, sop_instance_uid)
    SELECT $1, 'created', instance_key, 1, study_instance_uid, series_instance_uid, sop_instance_uid
    FROM added JOIN input USING (sop_instance_uid)
    RETURNING sequence, instance_key
), announced AS (
    INSERT INTO outbox (tenant_id, topic, sequence) SELECT $1, 'instance.created', sequence FROM fed
)
SELECT input.position, present.is_same
FROM input LEFT JOIN added USING (sop_instance_uid) LEFT JOIN present USING (position)
WHERE added.instance_key IS NULL
"""


ADD_INSTANCES: Final = _add(_INPUT_OF_MANY)
# A lone instance needs no arrays, which take client and server longer than the rest of it.
ADD_INSTANCE: Final = _add(_INPUT_OF_ONE)

# $3 is the blob key of the draft: when a row names it, it is the draft's own, and the blob must stay.
LOCK_INSTANCE: Final = """
SELECT instance_key, series_key, digest,
    blob_key = $3 OR EXISTS (SELECT FROM instance_version WHERE tenant_id = $1 AND blob_key = $3) AS is_own
FROM instance WHERE tenant_id = $1 AND sop_instance_uid = $2
FOR UPDATE OF instance
"""

_KEPT: Final = (
    "tenant_id, instance_key, version, sop_instance_uid, sop_class_uid, transfer_syntax_uid, frame_count, "
    "has_bulk_data, patient_differs, data_set_offset, size_bytes, received_at, digest, blob_key, damage, origin, "
    "attributes, frame_index"
)
_REPLACED: Final = _PLACED_COLUMNS | INSTANCE_COLUMNS

# $1 tenant, $2 instance key, $3 and $4 the new study's and series' UIDs, then the new columns.
REPLACE_INSTANCE: Final = f"""
WITH kept AS (
    INSERT INTO instance_version (study_instance_uid, series_instance_uid, {_KEPT})
    SELECT study_instance_uid, series_instance_uid, {", ".join("i." + c.strip() for c in _KEPT.split(","))}
    FROM instance i JOIN series USING (tenant_id, series_key) JOIN study USING (tenant_id, study_key)
    WHERE i.tenant_id = $1 AND i.instance_key = $2
), changed AS (
    UPDATE instance SET version = version + 1,
        {", ".join(f"{c} = ${i}::{t}" for i, (c, t) in enumerate(_REPLACED.items(), start=5))}
    WHERE tenant_id = $1 AND instance_key = $2
    RETURNING instance_key, version, sop_instance_uid
), fed AS (
    INSERT INTO change_feed
        (tenant_id, action, instance_key, version, study_instance_uid, series_instance_uid, sop_instance_uid)
    SELECT $1, 'replaced', instance_key, version, $3::text, $4::text, sop_instance_uid FROM changed
    RETURNING sequence
)
INSERT INTO outbox (tenant_id, topic, sequence) SELECT $1, 'instance.replaced', sequence FROM fed
"""

# A series that lost its last instance to another one disappears, and what it leaves empty above.
REMOVE_EMPTY_SERIES: Final = """
DELETE FROM series WHERE tenant_id = $1 AND series_key = $2
    AND NOT EXISTS (SELECT FROM instance WHERE tenant_id = $1 AND series_key = $2)
RETURNING study_key
"""
REMOVE_EMPTY_STUDY: Final = """
DELETE FROM study WHERE tenant_id = $1 AND study_key = $2
    AND NOT EXISTS (SELECT FROM series WHERE tenant_id = $1 AND study_key = $2)
RETURNING patient_key
"""
REMOVE_EMPTY_PATIENT: Final = """
DELETE FROM patient WHERE tenant_id = $1 AND patient_key = $2
    AND NOT EXISTS (SELECT FROM study WHERE tenant_id = $1 AND patient_key = $2)
"""

# $1 tenant, $2 study UIDs, $3 series UIDs: what of each pair is there, and which attributes it has.
FIND_SERIES: Final = """
SELECT position, study_key, patient_key, series_key, patient.identity,
    ARRAY(SELECT jsonb_object_keys(patient.attributes)) AS patient_tags,
    ARRAY(SELECT jsonb_object_keys(study.attributes)) AS study_tags,
    ARRAY(SELECT jsonb_object_keys(series.attributes)) AS series_tags
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS t (study_instance_uid, series_instance_uid, position)
JOIN study ON study.tenant_id = $1 AND study.study_instance_uid = t.study_instance_uid
JOIN patient USING (tenant_id, patient_key)
LEFT JOIN series USING (tenant_id, study_key, series_instance_uid)
"""

_PATIENT_COLUMNS: Final = {
    "identity": "text",
    "patient_id": "text",
    "issuer_of_patient_id": "text",
    "name_alphabetic": "text",
    "name_ideographic": "text",
    "name_phonetic": "text",
    "name_search": "text",
    "patient_birth_date": "date",
    "patient_sex": "text",
}
_STUDY_COLUMNS: Final = {
    "study_date": "date",
    "study_time": "time",
    "accession_number": "text",
    "study_id": "text",
    "study_description": "text",
    "referring_physician_name_search": "text",
}
_SERIES_COLUMNS: Final = {
    "modality": "text",
    "series_number": "bigint",
    "performed_procedure_step_start_date": "date",
}
_JSON_COLUMNS: Final = {"attributes": "jsonb", "terms": "jsonb"}


def _insert(table: str, columns: dict[str, str], parent: str, conflict: str) -> str:
    """Return the statement that inserts rows from arrays; rows that are there already stay as they are.

    The rows must come in the order of their unique column: two workers that insert the same rows then wait for
    each other one way round only.
    """
    arrays = ", ".join(f"${i}::{sql_type}[]" for i, sql_type in enumerate(columns.values(), start=2))
    stored = [c for c in columns if not c.startswith("parent_")]
    return f"""
        INSERT INTO {table} (tenant_id, {parent and parent + "_key, "}{", ".join(stored)})
        SELECT $1, {parent and parent + "." + parent + "_key, "}{", ".join("t." + c for c in stored)}
        FROM unnest({arrays}) WITH ORDINALITY AS t ({", ".join(columns)}, position)
        {parent and f"JOIN {parent} ON {parent}.tenant_id = $1 AND {parent}.{_NAMES[parent]} = t.parent_name"}
        ORDER BY t.position
        ON CONFLICT (tenant_id, {conflict}) DO NOTHING
        """


_NAMES: Final = {"patient": "identity", "study": "study_instance_uid"}
_PARENT: Final = {"parent_name": "text"}

ADD_PATIENTS: Final = _insert("patient", _PATIENT_COLUMNS | _JSON_COLUMNS, "", "identity")
ADD_STUDIES: Final = _insert(
    "study",
    _PARENT | {"study_instance_uid": "text"} | _STUDY_COLUMNS | _JSON_COLUMNS,
    "patient",
    "study_instance_uid",
)
ADD_SERIES: Final = _insert(
    "series",
    _PARENT | {"series_instance_uid": "text"} | _SERIES_COLUMNS | _JSON_COLUMNS,
    "study",
    "study_key, series_instance_uid",
)


def _fill(table: str, columns: dict[str, str]) -> str:
    """Return the statement that completes a row: $1 tenant, $2 key, then columns, attributes, terms."""
    filled = [c for c in columns if c != "identity"]
    last = len(columns) + 3
    numbers = {c: i for i, c in enumerate(columns, start=3)}
    return f"""
        UPDATE {table} SET
            {", ".join(f"{c} = COALESCE({c}, ${numbers[c]}::{columns[c]})" for c in filled)},
            attributes = ${last}::jsonb || attributes, terms = ${last + 1}::jsonb || terms
        WHERE tenant_id = $1 AND {table}_key = $2
        """


FILL: Final = {
    "patient": _fill("patient", {k: v for k, v in _PATIENT_COLUMNS.items() if k != "identity"}),
    "study": _fill("study", _STUDY_COLUMNS),
    "series": _fill("series", _SERIES_COLUMNS),
}
