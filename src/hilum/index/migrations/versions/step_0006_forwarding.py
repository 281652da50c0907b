"""Forwarding rules, destinations, and how each instance stands with each of them; prefetch rules."""

from __future__ import annotations

from alembic import op

from hilum.index.migrations.row_security import guard

revision = "0006"
down_revision = "0005"

_C = 'text COLLATE "C"'

# An order outlives its instance: that it was sent is known even when it is deleted here.
_TABLES = f"""
CREATE TABLE forward_rule (
    tenant_id integer NOT NULL REFERENCES tenant,
    rule_id integer GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL CHECK (name <> ''),
    destinations text[] NOT NULL,
    condition jsonb NOT NULL,
    timing text NOT NULL CHECK (timing IN ('arrival', 'stable')),
    stable_s double precision NOT NULL,
    priority integer NOT NULL,
    transfer_syntax_uid {_C},
    is_enabled boolean NOT NULL,
    PRIMARY KEY (rule_id, tenant_id),
    UNIQUE (name, tenant_id)
);

CREATE TABLE forward_destination (
    tenant_id integer NOT NULL REFERENCES tenant,
    destination {_C} NOT NULL,
    concurrency integer CHECK (concurrency > 0),
    max_bytes_per_s double precision CHECK (max_bytes_per_s > 0),
    PRIMARY KEY (destination, tenant_id)
);

CREATE TABLE prefetch_rule (
    tenant_id integer NOT NULL REFERENCES tenant,
    rule_id integer GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL,
    rule jsonb NOT NULL,
    PRIMARY KEY (rule_id, tenant_id),
    UNIQUE (name, tenant_id)
);

CREATE TABLE forward_order (
    tenant_id integer NOT NULL,
    instance_key bigint NOT NULL,
    version integer NOT NULL,
    destination {_C} NOT NULL,
    study_instance_uid {_C} NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sending', 'sent', 'failed', 'cancelled')),
    rule_id integer,
    transfer_syntax_uid {_C},
    priority integer NOT NULL,
    job_id bigint,
    attempt integer NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL,
    status integer,
    reason text,
    ordered_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_key, version, destination, tenant_id)
);
CREATE INDEX forward_order_open ON forward_order (study_instance_uid, destination, tenant_id, attempt, instance_key)
    WHERE state IN ('waiting', 'sending');
CREATE INDEX forward_order_unsent ON forward_order (destination, tenant_id, state) WHERE state <> 'sent';
CREATE INDEX forward_order_of_study ON forward_order (study_instance_uid, destination, tenant_id);
"""


def upgrade() -> None:
    """Make the tables; the queue's own connections see what all tenants' ingest has left in the outbox."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)
    guard("forward_rule", "forward_destination", "forward_order", "prefetch_rule")
    for table in ("outbox", "change_feed"):
        op.execute(f"CREATE POLICY queue_worker ON {table} USING (current_setting('hilum.queue', true) = 'on')")


def downgrade() -> None:
    """Never: what was kept is not thrown away."""
    raise NotImplementedError("Steps go forward only.")
