"""The policy that shows each tenant its own rows alone."""

from __future__ import annotations

from alembic import op


def guard(*tables: str) -> None:
    """Bind everybody to it, the owner of the tables too, on tables that have a `tenant_id`."""
    for table in tables:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY own_tenant ON {table} "
            "USING (tenant_id = NULLIF(current_setting('hilum.tenant', true), '')::integer)"
        )
