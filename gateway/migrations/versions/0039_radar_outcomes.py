"""What Radar made of charges, the cards behind them, and what was asked for of 3-D Secure."""

from pathlib import Path

from alembic import op

from runtime.migrations import sql_beside

revision = "0039"
down_revision = "0038"
oldest_code = "0021"  # columns more, with defaults
branch_labels = None
depends_on = None

# Of a table that is written and may be long: what is looked for is the newest of a card, by the
# number behind it or by a token of it.
_INDEXES = {"payment_card": "card_fingerprint", "payment_token": "payment_method"}


def upgrade() -> None:
    op.execute(sql_beside(Path(__file__)))
    with op.get_context().autocommit_block():
        for name, column in _INDEXES.items():
            # One that an earlier try left behind is not whole.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(
                f"CREATE INDEX CONCURRENTLY {name}"
                f" ON payment ({column}, create_time DESC, id DESC) WHERE card_fingerprint <> ''"
            )
