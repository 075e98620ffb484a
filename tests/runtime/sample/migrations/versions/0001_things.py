"""A table and the role that may only add to it."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
