"""Cases: what waits for a person, what was decided, and who did what."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0010"
down_revision = "0009"
oldest_code = "0003"  # two tables more
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
