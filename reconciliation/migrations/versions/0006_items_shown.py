"""Items are listed, and one that two people ignored is looked at again when two people say so."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
oldest_code = "0002"


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
