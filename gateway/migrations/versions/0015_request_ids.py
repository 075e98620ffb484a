"""Each service has the request ids of its own: of disputes, of payouts, of corridors."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
