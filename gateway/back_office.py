"""Disputes, payouts and the balance sweep of one process, put together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.balance.explaining import Explainer
from gateway.balance.sweep import BalanceSweep, SweepLimits
from gateway.config import GatewaySettings
from gateway.disputes.service import DisputeServicer
from gateway.disputes.stripe_events import Disputes
from gateway.merchants.commands import AccountFinder
from gateway.merchants.store import MerchantStore
from gateway.operations.commands import Commands
from gateway.operations.runner import Runner
from gateway.payments.stripe.events import PaymentEvents
from gateway.payouts.service import PayoutServicer
from gateway.payouts.stripe_events import Payouts
from gateway.payouts.transactions import PayoutTransactions
from gateway.stripe_client.client import StripeClient
from gateway.webhooks_in.event import EventHandler
from runtime.clock import Clock


@dataclass(frozen=True)
class BackOffice:
    """What becomes of money after it was taken."""

    disputes: Disputes
    payouts: Payouts
    dispute_servicer: DisputeServicer
    payout_servicer: PayoutServicer
    sweep: BalanceSweep

    def routes(self) -> Iterator[Mapping[str, EventHandler]]:
        """The types of events that its handlers deal with."""
        yield self.disputes.routes()
        yield self.payouts.routes()


def open_back_office(
    settings: GatewaySettings,
    engine: AsyncEngine,
    stripe_client: StripeClient,
    runner: Runner,
    disputes: Disputes,
    payouts: Payouts,
    events: PaymentEvents,
    merchants: MerchantStore,
    clock: Clock,
) -> BackOffice:
    """Puts it together; there is nothing to close."""
    review = timedelta(hours=settings.review_hours)
    commands = Commands(engine, runner, clock, settings.answer_seconds)
    return BackOffice(
        disputes=disputes,
        payouts=payouts,
        dispute_servicer=DisputeServicer(engine, commands),
        payout_servicer=PayoutServicer(
            engine,
            AccountFinder(stripe_client, merchants),
            commands,
            PayoutTransactions(engine, stripe_client),
            clock,
            review=review,
        ),
        sweep=BalanceSweep(
            engine,
            stripe_client,
            Explainer(engine, stripe_client, events, disputes, payouts, clock),
            clock,
            SweepLimits(timedelta(seconds=settings.balance_sweep_seconds), settings.lease),
        ),
    )
