"""Stripe Billing: invoices, their payments, credit notes and subscriptions."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0036"
down_revision = "0035"
oldest_code = "0021"  # tables more
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
