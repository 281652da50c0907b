"""Remote application entities."""

from __future__ import annotations

from alembic import op

from hilum.index.migrations.row_security import guard

revision = "0002"
down_revision = "0001"

_TABLE = """
CREATE TABLE remote_ae (
    tenant_id integer NOT NULL REFERENCES tenant,
    remote_id integer GENERATED ALWAYS AS IDENTITY,
    ae_title text COLLATE "C" NOT NULL CHECK (ae_title <> '' AND length(ae_title) <= 16),
    host text,
    port integer CHECK (port BETWEEN 1 AND 65535),
    network text,
    uses_tls boolean NOT NULL,
    certificate text,
    character_set text,
    transfer_syntaxes text[] NOT NULL,
    may_ask text[] NOT NULL,
    may_be_asked text[] NOT NULL,
    site text,
    description text NOT NULL,
    max_associations integer NOT NULL,
    PRIMARY KEY (remote_id, tenant_id),
    UNIQUE (ae_title, tenant_id)
)
"""

# Whatever changes the table, every worker hears of it.
_NOTICE = """
CREATE FUNCTION tell_of_remote_ae() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('hilum_remote_ae', coalesce(NEW.tenant_id, OLD.tenant_id)::text);
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    """Make the table, and let its changes be told."""
    op.execute(_TABLE)
    guard("remote_ae")
    op.execute(_NOTICE)
    op.execute(
        "CREATE TRIGGER tell_of_change AFTER INSERT OR UPDATE OR DELETE ON remote_ae "
        "FOR EACH ROW EXECUTE FUNCTION tell_of_remote_ae()"
    )


def downgrade() -> None:
    """Never: what was kept is not thrown away."""
    raise NotImplementedError("Steps go forward only.")
