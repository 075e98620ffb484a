"""Each change of an incident is written with it, and endpoints may be of incidents."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0047"
down_revision = "0046"
oldest_code = "0021"  # columns that may be empty, and rows that code before takes for deleted
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
