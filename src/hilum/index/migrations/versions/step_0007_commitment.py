"""Storage commitment transactions."""

from __future__ import annotations

from alembic import op

from hilum.index.migrations.row_security import guard

revision = "0007"
down_revision = "0006"

_C = 'text COLLATE "C"'

# `digest` is that of our own copy when the remote was asked: a copy replaced since is another one.
_TABLES = f"""
CREATE TABLE commitment (
    tenant_id integer NOT NULL REFERENCES tenant,
    commitment_id bigint GENERATED ALWAYS AS IDENTITY,
    direction text NOT NULL CHECK (direction IN ('we-commit', 'they-commit')),
    transaction_uid {_C} NOT NULL,
    remote_ae_title {_C} NOT NULL,
    own_ae_title {_C} NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    claimed_until timestamptz,
    decided_at timestamptz,
    sent_at timestamptz,
    PRIMARY KEY (commitment_id, tenant_id),
    UNIQUE (transaction_uid, remote_ae_title, direction, tenant_id)
);
CREATE INDEX commitment_newest ON commitment (tenant_id, commitment_id DESC);

CREATE TABLE commitment_instance (
    tenant_id integer NOT NULL,
    commitment_id bigint NOT NULL,
    position integer NOT NULL,
    sop_class_uid {_C} NOT NULL,
    sop_instance_uid {_C} NOT NULL,
    digest bytea,
    is_committed boolean,
    failure_reason integer,
    PRIMARY KEY (commitment_id, position, tenant_id),
    FOREIGN KEY (commitment_id, tenant_id) REFERENCES commitment ON DELETE CASCADE
);
CREATE INDEX commitment_instance_uid ON commitment_instance (sop_instance_uid, tenant_id)
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES.split(";\n"):
        op.execute(statement)
    guard("commitment", "commitment_instance")


def downgrade() -> None:
    """Never: what was kept is not thrown away."""
    raise NotImplementedError("Steps go forward only.")
