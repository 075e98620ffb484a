"""One table of operations for payments, payouts and disputes."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
