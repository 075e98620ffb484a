"""What a capture took as the application fee, and what refunds take back of destination charges."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None
oldest_code = "0019"  # new columns with defaults: code up to 0019 goes on


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
