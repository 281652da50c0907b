"""Archives of any number of studies, whose rows are made inside the server: two series of two instances each.

Each day has 250 studies: a small archive is a young one. So a day, or a month and a modality, finds about as many
in archives of all sizes.
"""

from __future__ import annotations

import asyncio
import zlib
from pathlib import Path

import asyncpg

from hilum.index.embedded import EmbeddedPostgres
from hilum.index.migrate import migrate

FAMILIES = ("doe", "smith", "meyer", "garcia", "tanaka", "ivanov", "nguyen", "rossi", "okafor", "larsen")

STUDIES_PER_DAY = 250

# Half as many patients as studies; XA is rare, the other modalities are a quarter each.
_FILL = """
INSERT INTO patient (tenant_id, identity, patient_id, name_alphabetic, name_search, patient_birth_date, patient_sex,
    attributes, terms)
SELECT {tenant}, 'P' || n || '\\', 'P' || n, name, ' ' || name || ' ', date '1930-01-01' + (n * 37 % 30000), 'F',
    jsonb_build_object('00100010', jsonb_build_object('vr', 'PN', 'Value',
        jsonb_build_array(jsonb_build_object('Alphabetic', name))),
        '00100020', jsonb_build_object('vr', 'LO', 'Value', jsonb_build_array('P' || n)),
        '00100030', jsonb_build_object('vr', 'DA', 'Value', jsonb_build_array(
            to_char(date '1930-01-01' + (n * 37 % 30000), 'YYYYMMDD'))),
        '00100040', jsonb_build_object('vr', 'CS', 'Value', jsonb_build_array('F'))),
    jsonb_build_object('00100010', jsonb_build_array(jsonb_build_array(name, '', '')))
FROM (SELECT n, ('{families}'::text[])[1 + n % 10]
    || substr(md5(n::text), 1, 5) || ' ' || substr(md5((n + 7)::text), 1, 6) AS name
    FROM generate_series(1, {studies} / 2) n) p;
INSERT INTO study (tenant_id, patient_key, study_instance_uid, study_date, study_time, accession_number, study_id,
    study_description, referring_physician_name_search, attributes, terms)
SELECT {tenant}, patient_key, uid, day, hour, accession, 'S' || k, description, ' house greg ',
    jsonb_build_object(
        '00080020', jsonb_build_object('vr', 'DA', 'Value', jsonb_build_array(to_char(day, 'YYYYMMDD'))),
        '00080030', jsonb_build_object('vr', 'TM', 'Value', jsonb_build_array(to_char(hour, 'HH24MISS'))),
        '00080050', jsonb_build_object('vr', 'SH', 'Value', jsonb_build_array(accession)),
        '00080090', jsonb_build_object('vr', 'PN', 'Value',
            jsonb_build_array(jsonb_build_object('Alphabetic', 'House^Greg'))),
        '00081030', jsonb_build_object('vr', 'LO', 'Value', jsonb_build_array(description)),
        '0020000D', jsonb_build_object('vr', 'UI', 'Value', jsonb_build_array(uid)),
        '00200010', jsonb_build_object('vr', 'SH', 'Value', jsonb_build_array('S' || k))),
    '{{}}'
FROM (SELECT patient_key, k, '1.2.' || {tenant} || '.' || patient_id || '.' || k AS uid,
    date '2026-01-01' - abs(hashint8(patient_key * 2 + k) % {days}) AS day,
    time '08:00' + (k || ' h')::interval AS hour,
    'A' || patient_id || k AS accession, (ARRAY['Thorax','Kopf','Abdomen','Knie'])[1 + patient_key % 4] AS description
    FROM (SELECT patient_key, substr(patient_id, 2) AS patient_id FROM patient WHERE tenant_id = {tenant}) p,
        generate_series(0, 1) k) s;
INSERT INTO series (tenant_id, study_key, series_instance_uid, modality, series_number, attributes, terms)
SELECT {tenant}, study_key, study_instance_uid || '.' || k,
    CASE WHEN study_key % 5000 = 0 THEN 'XA' ELSE (ARRAY['CT','MR','CR','US'])[1 + study_key % 4] END, k, '{{}}', '{{}}'
FROM study, generate_series(1, 2) k WHERE tenant_id = {tenant};
INSERT INTO study_modality (tenant_id, study_key, modality, study_date, study_time, study_instance_uid)
SELECT DISTINCT tenant_id, study_key, modality, study_date, study_time, study_instance_uid
FROM study JOIN series USING (study_key, tenant_id) WHERE tenant_id = {tenant};
INSERT INTO instance (tenant_id, series_key, sop_instance_uid, sop_class_uid, transfer_syntax_uid, instance_number,
    frame_count, has_bulk_data, patient_differs, data_set_offset, size_bytes, received_at, digest, blob_key, damage,
    origin, terms, attributes)
SELECT {tenant}, series_key, series_instance_uid || '.' || k, '1.2.840.10008.5.1.4.1.1.2', '1.2.840.10008.1.2.1', k,
    1, false, false, 300, 500000, now(), '\\x00', md5(series_instance_uid || k), '[]', '{{}}', '{{}}',
    '\\x{attributes}'
FROM series, generate_series(1, 2) k WHERE tenant_id = {tenant};
VACUUM ANALYZE
"""


def days(studies: int) -> int:
    """Return over how many days before 2026 that many studies are spread."""
    return max(1, studies // STUDIES_PER_DAY)


async def fill(server: EmbeddedPostgres, tenant_id: int, studies: int) -> None:
    """Put so many studies into an empty tenant of a migrated server."""
    script = _FILL.format(
        tenant=tenant_id,
        studies=studies,
        days=days(studies),
        families="{" + ",".join(FAMILIES) + "}",
        attributes=zlib.compress(b"{}").hex(),
    )
    owner = await asyncpg.connect(**server.owner_address().connect_arguments())
    await owner.execute("SELECT set_config('hilum.tenant', $1, false)", str(tenant_id))
    for statement in script.split(";\n"):
        await owner.execute(statement)
    await owner.close()


def keep_filled(data_folder: Path, studies: int) -> None:
    """Make the data folder of an archive whose first tenant has so many studies; one made before is kept."""
    if (data_folder / "filled").exists():
        return
    server = EmbeddedPostgres(data_folder)
    server.start()
    try:
        asyncio.run(migrate(server.owner_address()))
        asyncio.run(fill(server, 1, studies))
        (data_folder / "filled").touch()
    finally:
        server.stop()
