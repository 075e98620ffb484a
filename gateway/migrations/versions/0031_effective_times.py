"""When things happened at Stripe: captures, refunds, payouts that came back, disputes decided."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0031"
down_revision = "0030"
oldest_code = "0021"  # columns more, which may be NULL and code of before need not know
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
