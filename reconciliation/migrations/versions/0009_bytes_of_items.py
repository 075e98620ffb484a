"""The bytes that items were made of."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
