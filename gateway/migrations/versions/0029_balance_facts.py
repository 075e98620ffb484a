"""Balance transactions as Stripe shows them, and the balances besides that of payments."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
