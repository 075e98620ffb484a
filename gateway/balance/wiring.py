"""Balance transactions as every process shows them, and the sweep, which workers take part in."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.balance.balances import BalanceReader
from gateway.balance.changes import CHANNEL, FEED, ChangeStore
from gateway.balance.comparing import BooksComparison
from gateway.balance.explaining import DisputeTaker, Explainer, PaymentTaker, PayoutTaker
from gateway.balance.service import BalanceTransactionServicer
from gateway.balance.sweep import BalanceSweep, SweepLimits
from gateway.bookkeeping.ledger_log import LedgerLog
from gateway.config import GatewaySettings
from gateway.limits import Limits
from gateway.numbering import Numbering
from gateway.operations.gate import Gate
from gateway.part import Part
from gateway.stripe_client.client import StripeClient
from gateway.v1 import balance_transaction_service_pb2, balance_transaction_service_pb2_grpc
from runtime.clock import Clock
from runtime.notifier import Notifier
from runtime.server import registered


def open_balance_transactions(engine: AsyncEngine, gate: Gate, clock: Clock) -> Part:
    """What is shown of them, and the loop that numbers their changes; there is nothing to close."""
    notifier = Notifier()
    servicer = BalanceTransactionServicer(ChangeStore(engine), BalanceReader(engine), notifier)
    served = balance_transaction_service_pb2, balance_transaction_service_pb2_grpc, servicer
    return Part(
        services=(registered(*served),),
        worker_loops=(Numbering(engine, FEED, gate, clock).loop(),),
        notifiers={CHANNEL: notifier},
    )


async def open_balance(
    settings: GatewaySettings,
    engine: AsyncEngine,
    stripe_client: StripeClient,
    payments: PaymentTaker,
    disputes: DisputeTaker,
    payouts: PayoutTaker,
    ledger_log: LedgerLog,
    clock: Clock,
    limits: Limits,
) -> Part:
    """Makes each corridor's sweep known; there is nothing to close. `ledger_log` reads the ledger
    that payments are booked in."""
    explainer = Explainer(engine, stripe_client, payments, disputes, payouts, clock)
    interval = timedelta(seconds=settings.balance_sweep_seconds)
    sweep_limits = SweepLimits(interval, settings.lease, limits.balance_page)
    sweep = BalanceSweep(engine, stripe_client, explainer, clock, sweep_limits)
    await sweep.prepare()
    comparison = BooksComparison(engine, ledger_log, stripe_client.corridors)
    return Part(leader_tasks=(sweep.loop(), comparison.loop(settings.balance_sweep_seconds)))
