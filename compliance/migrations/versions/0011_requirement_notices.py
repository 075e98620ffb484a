"""Notices of what Stripe wants of merchants, their e-mails, and where those go."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0011"
down_revision = "0010"
oldest_code = "0003"  # tables more, and a trigger that code of before need not know
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
