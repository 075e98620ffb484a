"""Documents that answer what Stripe requires of merchants."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0013"
down_revision = "0012"
oldest_code = "0003"  # a table more, that code of before need not know
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
