"""Changed accounts are followed as the gateway tells them, from where they were last."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0006"
down_revision = "0005"
oldest_code = "0003"  # a table more
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
