"""Where ledgers are, and heads that take no commit while a ledger is moved."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0011"
down_revision = "0010"
# Tables more, and a column that is false until a ledger is moved: not before all code has 0011.
oldest_code = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
