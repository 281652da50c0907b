"""The modalities of each study beside what studies are sorted by, so that one index finds both."""

from __future__ import annotations

from alembic import op

from hilum.index.migrations.row_security import guard

revision = "0008"
down_revision = "0007"

_C = 'text COLLATE "C"'

# A row for each modality a series of the study has. Date, time and UID repeat those of the study.
_TABLES = f"""
CREATE TABLE study_modality (
    tenant_id integer NOT NULL,
    study_key bigint NOT NULL,
    modality {_C} NOT NULL,
    study_date date,
    study_time time,
    study_instance_uid {_C} NOT NULL,
    PRIMARY KEY (study_key, modality, tenant_id),
    FOREIGN KEY (study_key, tenant_id) REFERENCES study ON DELETE CASCADE
);
CREATE INDEX study_modality_newest ON study_modality
    (tenant_id, modality, study_date DESC NULLS LAST, study_time DESC NULLS LAST, study_instance_uid)
    INCLUDE (study_key)
"""

# Row-level security shows the owner one tenant at a time as well.
_FILL = """
DO $$
DECLARE each integer;
BEGIN
    FOR each IN SELECT tenant_id FROM tenant LOOP
        PERFORM set_config('hilum.tenant', each::text, true);
        INSERT INTO study_modality (tenant_id, study_key, modality, study_date, study_time, study_instance_uid)
        SELECT DISTINCT tenant_id, study_key, modality, study_date, study_time, study_instance_uid
        FROM series JOIN study USING (study_key, tenant_id)
        WHERE tenant_id = each AND modality IS NOT NULL;
    END LOOP;
    PERFORM set_config('hilum.tenant', '', true);
END
$$
"""


def upgrade() -> None:
    """Make the table, and fill it from the series that are there."""
    for statement in _TABLES.split(";\n"):
        op.execute(statement)
    op.execute(_FILL)
    guard("study_modality")


def downgrade() -> None:
    """Never: what was kept is not thrown away."""
    raise NotImplementedError("Steps go forward only.")
