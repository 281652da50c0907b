"""Who sends to a remote now, and who waits for it, in all workers together."""

from __future__ import annotations

from alembic import op

from hilum.index.migrations.row_security import guard

revision = "0010"
down_revision = "0008"

_C = 'text COLLATE "C"'

# The tickets of one remote with the lowest numbers, as many as it takes associations, are those that send. Nobody's
# ticket outlives a crash of the database: nobody sends then.
_TABLE = f"""
CREATE UNLOGGED TABLE association_ticket (
    tenant_id integer NOT NULL REFERENCES tenant,
    remote_ae_title {_C} NOT NULL,
    ticket bigint GENERATED ALWAYS AS IDENTITY,
    held_until timestamptz NOT NULL,
    PRIMARY KEY (remote_ae_title, ticket, tenant_id)
)
"""

# One at a time takes a ticket for a remote, so that who has the lower number was there first, in everybody's eyes.
_DRAW = """
CREATE FUNCTION draw_association_ticket(tenant integer, title text, lease_s double precision)
RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    drawn bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(title, tenant));
    DELETE FROM association_ticket
    WHERE remote_ae_title = title AND tenant_id = tenant AND held_until <= clock_timestamp();
    INSERT INTO association_ticket (tenant_id, remote_ae_title, held_until)
    VALUES (tenant, title, clock_timestamp() + make_interval(secs => lease_s)) RETURNING ticket INTO drawn;
    RETURN drawn;
END
$body$
"""


def upgrade() -> None:
    """Make the table; each tenant sees its own tickets."""
    op.execute(_TABLE)
    op.execute(_DRAW)
    guard("association_ticket")


def downgrade() -> None:
    """Never: what was kept is not thrown away."""
    raise NotImplementedError("Steps go forward only.")
