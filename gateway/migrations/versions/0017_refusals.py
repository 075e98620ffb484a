"""What Stripe says of a refusal is kept with the operation that was refused; customers are found by
the payment method that they prefer."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
    with op.get_context().autocommit_block():
        # A build that was broken off leaves an index that is not used.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS customer_default_method")
        op.execute(
            "CREATE INDEX CONCURRENTLY customer_default_method"
            " ON customer (corridor, default_payment_method) WHERE default_payment_method <> ''"
        )
