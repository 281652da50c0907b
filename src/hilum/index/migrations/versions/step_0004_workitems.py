"""Unified procedure steps and their subscriptions."""

from __future__ import annotations

from alembic import op

from hilum.index.migrations.row_security import guard

revision = "0004"
down_revision = "0003"

# `attributes` is the data set in DICOM JSON, `terms` the same in the form in which it is matched; the typed columns
# repeat what worklists are asked for most. `starts_at` is the first moment the scheduled start names.
# `workitem_event` holds what subscribers have not been told yet; `workitem_delivery` says of each subscriber which
# worker is telling it now, and when to try again after it could not be reached.
_TABLES = """
CREATE TABLE workitem (
    tenant_id integer NOT NULL REFERENCES tenant,
    workitem_key bigint GENERATED ALWAYS AS IDENTITY,
    sop_instance_uid text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    transaction_uid text COLLATE "C",
    performer text COLLATE "C",
    patient_id text COLLATE "C",
    worklist_label text COLLATE "C",
    starts_at timestamptz,
    attributes jsonb NOT NULL,
    terms jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workitem_key, tenant_id),
    UNIQUE (sop_instance_uid, tenant_id)
);
CREATE INDEX workitem_start ON workitem (tenant_id, starts_at, workitem_key);
CREATE INDEX workitem_state ON workitem (state, tenant_id, starts_at, workitem_key);
CREATE INDEX workitem_patient_id ON workitem (patient_id, tenant_id, starts_at);
CREATE INDEX workitem_label ON workitem (worklist_label, state, tenant_id, starts_at);

CREATE TABLE workitem_subscription (
    tenant_id integer NOT NULL,
    workitem_key bigint NOT NULL,
    subscriber text COLLATE "C" NOT NULL,
    has_deletion_lock boolean NOT NULL,
    PRIMARY KEY (workitem_key, subscriber, tenant_id),
    FOREIGN KEY (workitem_key, tenant_id) REFERENCES workitem ON DELETE CASCADE
);
CREATE INDEX workitem_subscription_subscriber ON workitem_subscription (subscriber, tenant_id);

CREATE TABLE workitem_global_subscription (
    tenant_id integer NOT NULL REFERENCES tenant,
    subscriber text COLLATE "C" NOT NULL,
    has_deletion_lock boolean NOT NULL,
    keys jsonb,
    PRIMARY KEY (subscriber, tenant_id)
);

CREATE TABLE workitem_event (
    tenant_id integer NOT NULL REFERENCES tenant,
    event_id bigint GENERATED ALWAYS AS IDENTITY,
    subscriber text COLLATE "C" NOT NULL,
    sop_instance_uid text COLLATE "C" NOT NULL,
    event_type integer NOT NULL,
    information jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, tenant_id)
);
CREATE INDEX workitem_event_subscriber ON workitem_event (subscriber, tenant_id, event_id);

CREATE TABLE workitem_delivery (
    tenant_id integer NOT NULL REFERENCES tenant,
    subscriber text COLLATE "C" NOT NULL,
    lease uuid,
    leased_until timestamptz NOT NULL DEFAULT '-infinity',
    retry_at timestamptz NOT NULL DEFAULT '-infinity',
    failures integer NOT NULL DEFAULT 0,
    PRIMARY KEY (subscriber, tenant_id)
);
"""

_GUARDED = (
    "workitem",
    "workitem_subscription",
    "workitem_global_subscription",
    "workitem_event",
    "workitem_delivery",
)


def upgrade() -> None:
    """Make the tables, their indexes, and the policies that show each tenant its own rows alone."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)
    guard(*_GUARDED)
    # Whoever delivers events has to learn which tenants have some.
    for table in ("workitem_event", "workitem_delivery"):
        op.execute(
            f"CREATE POLICY delivery ON {table} FOR SELECT USING (current_setting('hilum.deliveries', true) = 'on')"
        )


def downgrade() -> None:
    """Never: what was kept is not thrown away."""
    raise NotImplementedError("Steps go forward only.")
