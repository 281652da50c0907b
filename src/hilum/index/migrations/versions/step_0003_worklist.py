"""Modality worklist items and performed procedure steps."""

from __future__ import annotations

from alembic import op

from hilum.index.migrations.row_security import guard

revision = "0003"
down_revision = "0002"

# `attributes` is the data set in DICOM JSON, `terms` the same in the form in which it is matched; the typed columns
# repeat what modalities ask for most. `starts_from` and `starts_until` are the first and last moment at which the step
# may begin: the same where a time is given, the whole day where none is.
_TABLES = """
CREATE TABLE worklist_item (
    tenant_id integer NOT NULL REFERENCES tenant,
    item_key bigint GENERATED ALWAYS AS IDENTITY,
    status text COLLATE "C" NOT NULL,
    is_open boolean NOT NULL,
    station_ae_titles text[] COLLATE "C" NOT NULL,
    start_date date,
    start_time time,
    starts_from timestamp,
    starts_until timestamp,
    modality text COLLATE "C",
    patient_id text COLLATE "C",
    name_alphabetic text COLLATE "C",
    name_ideographic text COLLATE "C",
    name_phonetic text COLLATE "C",
    accession_number text COLLATE "C",
    requested_procedure_id text COLLATE "C",
    study_instance_uid text COLLATE "C" NOT NULL,
    scheduled_procedure_step_id text COLLATE "C" NOT NULL,
    attributes jsonb NOT NULL,
    terms jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (item_key, tenant_id),
    UNIQUE (study_instance_uid, scheduled_procedure_step_id, tenant_id)
);
CREATE INDEX worklist_item_open ON worklist_item (tenant_id, start_date, start_time, item_key) WHERE is_open;
CREATE INDEX worklist_item_start ON worklist_item (tenant_id, start_date, start_time, item_key);
CREATE INDEX worklist_item_patient_id ON worklist_item (patient_id, tenant_id);
CREATE INDEX worklist_item_name ON worklist_item (name_alphabetic, tenant_id);
CREATE INDEX worklist_item_accession_number ON worklist_item (accession_number, tenant_id);

CREATE TABLE performed_procedure_step (
    tenant_id integer NOT NULL REFERENCES tenant,
    step_key bigint GENERATED ALWAYS AS IDENTITY,
    sop_instance_uid text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    calling_ae_title text COLLATE "C",
    attributes jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (step_key, tenant_id),
    UNIQUE (sop_instance_uid, tenant_id)
);
CREATE INDEX performed_procedure_step_newest ON performed_procedure_step (tenant_id, created_at DESC, step_key);

-- Which scheduled steps a performed one was made for, in its own words; `item_key` where the worklist has that step.
-- Studies are named by UID, since the images may come before or after the report of the step.
CREATE TABLE performed_step_reference (
    tenant_id integer NOT NULL,
    step_key bigint NOT NULL,
    position integer NOT NULL,
    study_instance_uid text COLLATE "C" NOT NULL,
    item_key bigint,
    PRIMARY KEY (step_key, position, tenant_id),
    FOREIGN KEY (step_key, tenant_id) REFERENCES performed_procedure_step ON DELETE CASCADE,
    FOREIGN KEY (item_key, tenant_id) REFERENCES worklist_item ON DELETE SET NULL (item_key)
);
CREATE INDEX performed_step_reference_study ON performed_step_reference (study_instance_uid, tenant_id);
CREATE INDEX performed_step_reference_item ON performed_step_reference (item_key, tenant_id);
"""

_GUARDED = ("worklist_item", "performed_procedure_step", "performed_step_reference")


def upgrade() -> None:
    """Make the tables, their indexes, and the policies that show each tenant its own rows alone."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)
    guard(*_GUARDED)


def downgrade() -> None:
    """Never: what was kept is not thrown away."""
    raise NotImplementedError("Steps go forward only.")
