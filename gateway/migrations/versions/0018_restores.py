"""What the ledger was last known to have, where bookings are in it, and the epochs of the feeds."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None
# New tables and an index: code that knows nothing of them goes on.


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
    # Of a table that is written and may be long. One that an earlier try left behind is not whole.
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS booking_ledger_sequence")
        op.execute(
            "CREATE INDEX CONCURRENTLY booking_ledger_sequence ON booking (ledger, ledger_sequence)"
            " WHERE state = 'BOOKED'"
        )
