"""Shows positions to operators."""

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.bank.accounts import BankAccounts
from reconciliation.breaks.store import moment_now
from reconciliation.liquidity.position import AVAILABLE, PENDING, Position
from reconciliation.liquidity.store import positions_at
from runtime.clock import Clock
from runtime.loops import Loop

POLL_SECONDS = 30.0
IN_TRANSIT, LATE, AT_BANK = "in_transit", "late", "at_bank"

LIQUIDITY = Gauge(
    "reconciliation_liquidity_minor_units",
    "Where the platform's money is, in minor units: available and pending at Stripe, in transit to"
    " the bank, late there, which is a part of what is in transit, and at the bank.",
    ["corridor", "currency", "part"],
)


class LiquidityGauges:
    """Sets the gauges. What is not known any more is not shown."""

    def __init__(self, engine: AsyncEngine, accounts: BankAccounts, clock: Clock) -> None:
        self._engine = engine
        self._accounts = accounts
        self._clock = clock
        self._seen: set[tuple[str, str, str]] = set()

    def loop(self) -> Loop:
        """Looks again and again."""
        return Loop("liquidity gauges", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Looks once."""
        async with self._engine.connect() as connection:
            moment = moment_now(self._clock.now())
            found = await positions_at(connection, moment, self._accounts)
        shown = {
            (position.corridor, position.currency, part): minor
            for position in found
            for part, minor in parts_of(position).items()
            if minor is not None
        }
        for labels in self._seen - shown.keys():
            LIQUIDITY.remove(*labels)
        for labels, minor in shown.items():
            LIQUIDITY.labels(*labels).set(minor)
        self._seen = set(shown)
        return False


def parts_of(position: Position) -> dict[str, int | None]:
    """Minor units by part. Pure."""
    return {
        AVAILABLE: position.available_minor,
        PENDING: position.pending_minor,
        IN_TRANSIT: position.in_transit_minor,
        LATE: position.late_minor,
        AT_BANK: None if position.at_bank is None else position.at_bank.amount_minor,
    }
