"""An index of the payments that are in any state but the usual end."""

from alembic import op

revision = "0025"
down_revision = "0024"
oldest_code = "0021"  # an index more
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of a table that is written and may be long. One that an earlier try left behind is not whole.
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS payment_rare_state")
        op.execute(
            "CREATE INDEX CONCURRENTLY payment_rare_state"
            " ON payment (state, create_time DESC, id DESC) WHERE state <> 'SUCCEEDED'"
        )
