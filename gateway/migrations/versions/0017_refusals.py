"""What Stripe says of a refusal is kept with the operation that was refused."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None
oldest_code = "0015"  # new columns with defaults: code up to 0015 goes on


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
