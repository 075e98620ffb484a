"""Statements of bank accounts: their files whole, their lines, and what was refused."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
