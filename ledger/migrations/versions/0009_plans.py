"""Snapshots cost what is new, whatever the planner knows of the books."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0009"
down_revision = "0008"
oldest_code = "0005"  # the same answers from a function, found in another way
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
