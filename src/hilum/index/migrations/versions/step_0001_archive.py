"""Tenants, accounts, and the archive from patient to instance with its change feed."""

# ruff: noqa: S608 - the statements are put together from constants

from __future__ import annotations

from alembic import op

from hilum.index.migrations.row_security import guard

revision = "0001"
down_revision = None

# Text that is compared byte by byte: identifiers, and names in normal form whose prefixes are ranges of an index.
_C = 'text COLLATE "C"'

_ACCOUNTS = f"""
CREATE TABLE tenant (
    tenant_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenant (name) VALUES ('default');

CREATE TABLE ae_title (
    ae_title {_C} PRIMARY KEY CHECK (ae_title <> '' AND length(ae_title) <= 16),
    tenant_id integer NOT NULL REFERENCES tenant
);

CREATE TABLE user_account (
    user_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenant,
    name text NOT NULL CHECK (name <> ''),
    folded_name {_C} NOT NULL UNIQUE,
    roles text[] NOT NULL,
    password_hash text,
    is_enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE access_token (
    token_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id integer NOT NULL REFERENCES user_account ON DELETE CASCADE,
    name text NOT NULL,
    secret_digest bytea NOT NULL UNIQUE CHECK (length(secret_digest) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz
);
CREATE INDEX access_token_user ON access_token (user_id);

CREATE TABLE session (
    secret_digest bytea PRIMARY KEY CHECK (length(secret_digest) = 32),
    user_id integer NOT NULL REFERENCES user_account ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX session_user_id ON session (user_id);
CREATE INDEX session_expiry ON session (expires_at);
"""

# `attributes` is DICOM JSON as it is returned, `terms` the same attributes in the form in which they are matched.
# The typed columns repeat what searches ask for most.
# Keys begin with what is selective, not with the tenant: a statement planned while the tables are small then has no
# index to take by mistake that is only good while they are small.
_ARCHIVE = f"""
CREATE TABLE patient (
    tenant_id integer NOT NULL REFERENCES tenant,
    patient_key bigint GENERATED ALWAYS AS IDENTITY,
    identity {_C} NOT NULL,
    patient_id {_C},
    issuer_of_patient_id {_C},
    name_alphabetic {_C},
    name_ideographic {_C},
    name_phonetic {_C},
    name_search {_C},
    patient_birth_date date,
    patient_sex {_C},
    attributes jsonb NOT NULL,
    terms jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (patient_key, tenant_id),
    UNIQUE (identity, tenant_id)
);
CREATE INDEX patient_id ON patient (tenant_id, patient_id);
CREATE INDEX patient_name_alphabetic ON patient (tenant_id, name_alphabetic, patient_key);
CREATE INDEX patient_name_ideographic ON patient (tenant_id, name_ideographic) WHERE name_ideographic IS NOT NULL;
CREATE INDEX patient_name_phonetic ON patient (tenant_id, name_phonetic) WHERE name_phonetic IS NOT NULL;
CREATE INDEX patient_name_trigrams ON patient USING gin (tenant_id, name_search gin_trgm_ops);
CREATE INDEX patient_birth_date ON patient (tenant_id, patient_birth_date);

CREATE TABLE study (
    tenant_id integer NOT NULL,
    study_key bigint GENERATED ALWAYS AS IDENTITY,
    patient_key bigint NOT NULL,
    study_instance_uid {_C} NOT NULL,
    study_date date,
    study_time time,
    accession_number {_C},
    study_id {_C},
    study_description {_C},
    referring_physician_name_search {_C},
    attributes jsonb NOT NULL,
    terms jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (study_key, tenant_id),
    UNIQUE (study_instance_uid, tenant_id),
    FOREIGN KEY (patient_key, tenant_id) REFERENCES patient
);
CREATE INDEX study_patient ON study (patient_key, tenant_id);
CREATE INDEX study_newest ON study
    (tenant_id, study_date DESC NULLS LAST, study_time DESC NULLS LAST, study_instance_uid);
CREATE INDEX study_accession_number ON study (tenant_id, accession_number);
CREATE INDEX study_id ON study (tenant_id, study_id);
CREATE INDEX study_description_trigrams ON study USING gin (tenant_id, study_description gin_trgm_ops);
CREATE INDEX study_referring_physician_trigrams ON study
    USING gin (tenant_id, referring_physician_name_search gin_trgm_ops);

CREATE TABLE series (
    tenant_id integer NOT NULL,
    series_key bigint GENERATED ALWAYS AS IDENTITY,
    study_key bigint NOT NULL,
    series_instance_uid {_C} NOT NULL,
    modality {_C},
    series_number bigint,
    performed_procedure_step_start_date date,
    attributes jsonb NOT NULL,
    terms jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (series_key, tenant_id),
    -- Broken senders use one UID for series of several studies: a series is named by both.
    UNIQUE (study_key, series_instance_uid, tenant_id),
    FOREIGN KEY (study_key, tenant_id) REFERENCES study
);
CREATE INDEX series_instance_uid ON series (series_instance_uid, tenant_id);
CREATE INDEX series_modality ON series (tenant_id, modality, study_key);
CREATE INDEX series_performed ON series (tenant_id, performed_procedure_step_start_date);

CREATE TABLE instance (
    tenant_id integer NOT NULL,
    instance_key bigint GENERATED ALWAYS AS IDENTITY,
    series_key bigint NOT NULL,
    version integer NOT NULL DEFAULT 1,
    sop_instance_uid {_C} NOT NULL,
    sop_class_uid {_C} NOT NULL,
    transfer_syntax_uid {_C} NOT NULL,
    instance_number bigint,
    frame_count integer NOT NULL,
    has_bulk_data boolean NOT NULL,
    patient_differs boolean NOT NULL,
    data_set_offset integer NOT NULL,
    size_bytes bigint NOT NULL,
    received_at timestamptz NOT NULL,
    digest bytea NOT NULL,
    blob_key {_C} NOT NULL,
    damage jsonb NOT NULL,
    origin jsonb NOT NULL,
    terms jsonb NOT NULL,
    attributes bytea NOT NULL,
    frame_index bytea,
    PRIMARY KEY (instance_key, tenant_id),
    UNIQUE (sop_instance_uid, tenant_id),
    FOREIGN KEY (series_key, tenant_id) REFERENCES series
);
-- The attributes are compressed already.
ALTER TABLE instance ALTER attributes SET STORAGE EXTERNAL;
ALTER TABLE instance ALTER frame_index SET COMPRESSION pglz;
CREATE INDEX instance_series ON instance (series_key, tenant_id, instance_key, version);
CREATE INDEX instance_blob ON instance (blob_key);

CREATE TABLE instance_version (
    tenant_id integer NOT NULL,
    instance_key bigint NOT NULL,
    version integer NOT NULL,
    study_instance_uid {_C} NOT NULL,
    series_instance_uid {_C} NOT NULL,
    sop_instance_uid {_C} NOT NULL,
    sop_class_uid {_C} NOT NULL,
    transfer_syntax_uid {_C} NOT NULL,
    frame_count integer NOT NULL,
    has_bulk_data boolean NOT NULL,
    patient_differs boolean NOT NULL,
    data_set_offset integer NOT NULL,
    size_bytes bigint NOT NULL,
    received_at timestamptz NOT NULL,
    replaced_at timestamptz NOT NULL DEFAULT now(),
    digest bytea NOT NULL,
    blob_key {_C} NOT NULL,
    damage jsonb NOT NULL,
    origin jsonb NOT NULL,
    attributes bytea NOT NULL,
    frame_index bytea,
    PRIMARY KEY (instance_key, version, tenant_id)
);
ALTER TABLE instance_version ALTER attributes SET STORAGE EXTERNAL;
CREATE INDEX instance_version_blob ON instance_version (blob_key);

CREATE TABLE series_metadata (
    tenant_id integer NOT NULL,
    series_key bigint NOT NULL,
    stamp text NOT NULL,
    has_placeholders boolean NOT NULL,
    gzip_json bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (series_key, tenant_id),
    FOREIGN KEY (series_key, tenant_id) REFERENCES series ON DELETE CASCADE
);
ALTER TABLE series_metadata ALTER gzip_json SET STORAGE EXTERNAL;

-- A reader of the feed takes rows whose transaction_id is below pg_snapshot_xmin(pg_current_snapshot()): older
-- transactions have all ended then, so no row with a lower place can appear behind it.
CREATE TABLE change_feed (
    tenant_id integer NOT NULL,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    occurred_at timestamptz NOT NULL DEFAULT now(),
    action text NOT NULL CHECK (action IN ('created', 'replaced', 'deleted')),
    instance_key bigint NOT NULL,
    version integer NOT NULL,
    study_instance_uid {_C} NOT NULL,
    series_instance_uid {_C} NOT NULL,
    sop_instance_uid {_C} NOT NULL,
    PRIMARY KEY (tenant_id, transaction_id, sequence)
);

CREATE TABLE outbox (
    tenant_id integer NOT NULL,
    outbox_id bigint GENERATED ALWAYS AS IDENTITY,
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    topic text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (transaction_id, outbox_id)
);
"""

_GUARDED = (
    "patient",
    "study",
    "series",
    "instance",
    "instance_version",
    "series_metadata",
    "change_feed",
    "outbox",
)


def upgrade() -> None:
    """Make the tables, their indexes, and the policies that show each tenant its own rows alone."""
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")
    for script in (_ACCOUNTS, _ARCHIVE):
        for statement in script.split(";\n"):
            if statement.strip():
                op.execute(statement)
    guard(*_GUARDED)


def downgrade() -> None:
    """Never: an archive is not taken back to before it had tables."""
    raise NotImplementedError("There is nothing before the first step.")
