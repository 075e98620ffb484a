"""Items that adjust what is at the bank: matched beside payouts."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
