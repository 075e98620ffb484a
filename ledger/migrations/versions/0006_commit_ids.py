"""Which commit a ledger's head is of, so that two histories that branched are told apart."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0006"
down_revision = "0005"
oldest_code = "0005"  # a new nullable column, beside which revision goes on to be compared
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
