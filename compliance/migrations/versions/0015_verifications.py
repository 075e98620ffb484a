"""Verifications of subjects by Stripe Identity, and what of them checks go by."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0015"
down_revision = "0014"
oldest_code = "0003"  # tables more, that code of before need not know
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
