"""All movements of a dispute, in place of whether it is held and what its fee was."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
