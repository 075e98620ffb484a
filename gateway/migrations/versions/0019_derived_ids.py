"""Ids no longer sort by time: the queue has its order beside them; keys may begin otherwise."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
