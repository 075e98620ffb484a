"""Payments that a bank decides about for hours or days are PROCESSING."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
    # Rows are read without the lock that keeps everybody waiting.
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE payment VALIDATE CONSTRAINT payment_state_check")
        op.execute("ALTER TABLE payment VALIDATE CONSTRAINT payment_hold_check")
