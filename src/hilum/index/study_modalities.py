"""The table `study_modality`, kept in step with series and studies.

It says which modalities the series of a study have, beside what studies are sorted by: a search by modality walks its
index in the order of the answers, however rare the modality and however many studies there are.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from hilum.index.pool import Connection

# The study is locked. Who completes its date at that moment is waited for; who does so afterwards sees the row.
_NOTE: Final = """
WITH wanted AS MATERIALIZED (
    SELECT DISTINCT study_key, modality FROM series
    WHERE tenant_id = $1 AND series_key = ANY($2::bigint[]) AND modality IS NOT NULL
), held AS MATERIALIZED (
    SELECT study_key, study_date, study_time, study_instance_uid FROM study
    WHERE tenant_id = $1 AND study_key = ANY(ARRAY(SELECT study_key FROM wanted))
    ORDER BY study_key
    FOR NO KEY UPDATE
)
INSERT INTO study_modality (tenant_id, study_key, modality, study_date, study_time, study_instance_uid)
SELECT $1, study_key, modality, study_date, study_time, study_instance_uid FROM wanted JOIN held USING (study_key)
ON CONFLICT (study_key, modality, tenant_id) DO NOTHING
"""

_FOLLOW: Final = """
UPDATE study_modality SET study_date = study.study_date, study_time = study.study_time
FROM study
WHERE study.tenant_id = $1 AND study.study_key = $2
    AND study_modality.tenant_id = $1 AND study_modality.study_key = $2
    AND (study_modality.study_date, study_modality.study_time)
        IS DISTINCT FROM (study.study_date, study.study_time)
"""

_LOCK: Final = "SELECT FROM study WHERE tenant_id = $1 AND study_key = $2 FOR NO KEY UPDATE"
_REMOVE: Final = """
DELETE FROM study_modality m WHERE tenant_id = $1 AND study_key = $2 AND NOT EXISTS (
    SELECT FROM series WHERE tenant_id = $1 AND study_key = $2 AND series.modality = m.modality)
"""


async def note_modalities(connection: Connection, tenant_id: int, series_keys: Collection[int]) -> None:
    """Note the modalities of series that are new, or were completed. Within the transaction that changed them."""
    if series_keys:
        await connection.execute(_NOTE, tenant_id, list(series_keys))


async def follow_study(connection: Connection, tenant_id: int, study_key: int) -> None:
    """Take over the date and time the study has now. Within the transaction that changed it."""
    await connection.execute(_FOLLOW, tenant_id, study_key)


async def drop_modalities(connection: Connection, tenant_id: int, study_key: int) -> None:
    """Forget modalities no series of the study has any more. Within the transaction that removed the series."""
    # Who adds a series at this moment holds the study; the next statement then sees what was added.
    await connection.execute(_LOCK, tenant_id, study_key)
    await connection.execute(_REMOVE, tenant_id, study_key)
