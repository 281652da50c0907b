"""What has ended and is forgotten after a time is found without looking at the rest."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the indexes."""
    op.execute("CREATE INDEX worklist_item_ended ON worklist_item (tenant_id, changed_at) WHERE NOT is_open")
    op.execute(
        "CREATE INDEX workitem_ended ON workitem (tenant_id, changed_at) WHERE state IN ('COMPLETED', 'CANCELED')"
    )


def downgrade() -> None:
    """Never: what was kept is not thrown away."""
    raise NotImplementedError("Steps go forward only.")
