"""The statements of forwarding."""

# ruff: noqa: S608 - the statements are put together from constants

from __future__ import annotations

from typing import Final

from hilum.dicom.dictionary import tag_of

RULE_COLUMNS: Final = (
    "rule_id, tenant_id, name, destinations, condition, timing, stable_s, priority, transfer_syntax_uid, is_enabled"
)
RULES: Final = f"SELECT {RULE_COLUMNS} FROM forward_rule WHERE tenant_id = $1 ORDER BY rule_id"
ADD_RULE: Final = f"""
INSERT INTO forward_rule
    (tenant_id, name, destinations, condition, timing, stable_s, priority, transfer_syntax_uid, is_enabled)
VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7, $8, $9) RETURNING {RULE_COLUMNS}
"""
CHANGE_RULE: Final = f"""
UPDATE forward_rule SET name = $2, destinations = $3, condition = $4::jsonb, timing = $5, stable_s = $6,
    priority = $7, transfer_syntax_uid = $8, is_enabled = $9
WHERE tenant_id = $1 AND rule_id = $10 RETURNING {RULE_COLUMNS}
"""
REMOVE_RULE: Final = "DELETE FROM forward_rule WHERE tenant_id = $1 AND rule_id = $2"


def _of_series(keyword: str) -> str:
    return f"series.attributes -> '{tag_of(keyword)}' -> 'Value' ->> 0"


_FACTS: Final = f"""
SELECT instance.instance_key, version, study_instance_uid, sop_instance_uid, sop_class_uid, transfer_syntax_uid,
    origin, remote_ae.site, modality, {_of_series("BodyPartExamined")} AS body_part,
    study_description, {_of_series("SeriesDescription")} AS series_description,
    {_of_series("StationName")} AS station_name, {_of_series("InstitutionName")} AS institution_name
FROM instance JOIN series USING (tenant_id, series_key) JOIN study USING (tenant_id, study_key)
LEFT JOIN remote_ae ON remote_ae.tenant_id = $1 AND remote_ae.ae_title = origin ->> 'calling_ae_title'
"""
FACTS: Final = f"{_FACTS} WHERE instance.tenant_id = $1 AND instance_key = ANY($2::bigint[]) ORDER BY instance_key"
FACTS_OF_STUDY: Final = f"{_FACTS} WHERE study.tenant_id = $1 AND study_instance_uid = $2 ORDER BY instance_key"

_ORDERS: Final = """
unnest($2::bigint[], $3::integer[], $4::text[], $5::text[], $6::integer[], $7::integer[], $8::text[], $9::float8[])
    AS t (instance_key, version, study_instance_uid, destination, rule_id, priority, transfer_syntax_uid, delay_s)
"""
ORDER: Final = f"""
INSERT INTO forward_order AS there (tenant_id, instance_key, version, study_instance_uid, destination, rule_id,
    priority, transfer_syntax_uid, not_before)
SELECT $1, instance_key, version, study_instance_uid, destination, rule_id, priority, transfer_syntax_uid,
    now() + make_interval(secs => delay_s)
FROM {_ORDERS}
ORDER BY instance_key, version, destination
ON CONFLICT (instance_key, version, destination, tenant_id) DO UPDATE
SET state = 'waiting', attempt = 0, reason = NULL, status = NULL, job_id = NULL, changed_at = now(),
    not_before = excluded.not_before, priority = excluded.priority, rule_id = excluded.rule_id,
    transfer_syntax_uid = excluded.transfer_syntax_uid
WHERE $10 AND there.state IN ('sent', 'failed', 'cancelled')
"""
# What waits for a time of its own has a job of its own, so that it does not keep the rest waiting.
_ENQUEUE: Final = """
enqueue_job($1, 'forward.send',
    jsonb_build_object('destination', destination, 'study_instance_uid', study_instance_uid),
    'forward:' || destination, max(priority),
    'forward:' || destination || ':' || study_instance_uid || CASE WHEN {delay} > 0 THEN ':later' ELSE '' END, {delay})
"""
ENQUEUE_ORDERED: Final = f"""
SELECT {_ENQUEUE.format(delay="min(delay_s)")} FROM {_ORDERS}
GROUP BY destination, study_instance_uid, delay_s > 0 ORDER BY destination, study_instance_uid
"""

_MINE: Final = "tenant_id = $1 AND destination = $2"
# $3 study, $4 job, $5 limit, $6 when this try of the job began.
CLAIM: Final = f"""
WITH free AS MATERIALIZED (
    SELECT instance_key, version, attempt FROM forward_order mine
    WHERE {_MINE} AND study_instance_uid = $3 AND state IN ('waiting', 'sending') AND not_before <= now()
        AND NOT (state = 'waiting' AND job_id IS NOT DISTINCT FROM $4 AND changed_at >= $6)
        AND (state = 'waiting' OR NOT EXISTS (
            SELECT FROM job WHERE job.tenant_id = $1 AND job.job_id = mine.job_id AND job.state = 'running'
                AND job.job_id <> $4))
    ORDER BY attempt, instance_key LIMIT $5 FOR UPDATE SKIP LOCKED
), chosen AS (
    SELECT instance_key, version FROM (
        SELECT *, row_number() OVER (ORDER BY attempt, instance_key) AS place FROM free
    ) AS numbered WHERE attempt < 2 OR place = 1
), claimed AS (
    UPDATE forward_order SET state = 'sending', job_id = $4, changed_at = now() FROM chosen
    WHERE {_MINE} AND forward_order.instance_key = chosen.instance_key AND forward_order.version = chosen.version
    RETURNING forward_order.instance_key, forward_order.version, attempt, forward_order.transfer_syntax_uid AS wanted
)
SELECT claimed.instance_key, claimed.version, attempt, wanted, study_instance_uid, series_instance_uid,
    sop_instance_uid, sop_class_uid, instance.transfer_syntax_uid, blob_key, size_bytes, data_set_offset, frame_count,
    has_bulk_data, frame_index
FROM claimed
LEFT JOIN instance ON instance.tenant_id = $1 AND instance.instance_key = claimed.instance_key
    AND instance.version = claimed.version
LEFT JOIN series ON series.tenant_id = $1 AND series.series_key = instance.series_key
LEFT JOIN study ON study.tenant_id = $1 AND study.study_key = series.study_key
ORDER BY claimed.instance_key
"""
RECORD: Final = f"""
UPDATE forward_order SET state = said.state, status = said.status, reason = nullif(said.reason, ''),
    attempt = attempt + said.counts::integer, changed_at = clock_timestamp()
FROM unnest($4::bigint[], $5::integer[], $6::text[], $7::integer[], $8::text[], $9::boolean[])
    AS said (instance_key, version, state, status, reason, counts)
WHERE {_MINE} AND job_id = $3 AND forward_order.instance_key = said.instance_key
    AND forward_order.version = said.version AND (forward_order.state = 'sending' OR said.state = 'sent')
"""
COUNTS: Final = """
SELECT destination, state, count(*) FROM forward_order WHERE tenant_id = $1 AND state <> 'sent'
GROUP BY destination, state ORDER BY destination
"""
STUDIES: Final = """
WITH latest AS (
    SELECT study_instance_uid, destination, max(changed_at) AS changed_at FROM forward_order
    WHERE tenant_id = $1 AND ($2::text IS NULL OR destination = $2) AND ($3::text[] IS NULL OR state = ANY($3))
        AND ($6::text IS NULL OR study_instance_uid = $6)
    GROUP BY study_instance_uid, destination ORDER BY max(changed_at) DESC LIMIT $4 OFFSET $5
)
SELECT study_instance_uid, destination, changed_at, (
        SELECT json_object_agg(state, count) FROM (
            SELECT state, count(*) FROM forward_order o WHERE o.tenant_id = $1
                AND o.study_instance_uid = latest.study_instance_uid AND o.destination = latest.destination
            GROUP BY state) AS counted
    ) AS counts, (
        SELECT reason FROM forward_order o WHERE o.tenant_id = $1 AND o.study_instance_uid = latest.study_instance_uid
            AND o.destination = latest.destination AND state <> 'sent' AND reason IS NOT NULL
        ORDER BY o.changed_at DESC LIMIT 1
    ) AS error
FROM latest ORDER BY changed_at DESC
"""
_SELECTED: Final = f"{_MINE} AND ($3::text IS NULL OR study_instance_uid = $3)"
CANCEL: Final = f"""
UPDATE forward_order SET state = 'cancelled', changed_at = now()
WHERE {_SELECTED} AND state IN ('waiting', 'sending', 'failed')
"""
# What waits already waits no more for its window; jobs are made for all of it.
RETRY: Final = f"""
UPDATE forward_order SET state = 'waiting', attempt = 0, job_id = NULL, not_before = now(), changed_at = now()
WHERE {_SELECTED} AND state IN ('waiting', 'failed', 'cancelled')
"""
ENQUEUE_WAITING: Final = f"""
SELECT {_ENQUEUE.format(delay="0")} FROM forward_order WHERE {_SELECTED} AND state = 'waiting'
GROUP BY destination, study_instance_uid
"""
DESTINATIONS: Final = """
SELECT destination, concurrency, max_bytes_per_s FROM forward_destination WHERE tenant_id = $1 ORDER BY destination
"""
SAVE_DESTINATION: Final = """
INSERT INTO forward_destination (tenant_id, destination, concurrency, max_bytes_per_s) VALUES ($1, $2, $3, $4)
ON CONFLICT (destination, tenant_id) DO UPDATE
SET concurrency = excluded.concurrency, max_bytes_per_s = excluded.max_bytes_per_s
"""
