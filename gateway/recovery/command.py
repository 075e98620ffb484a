"""`python -m gateway recover`: makes the database whole after a restore or a lossy failover."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.bookkeeping.ledger_client import LedgerUnavailableError
from gateway.bookkeeping.ledger_log import LedgerLog
from gateway.bookkeeping.wiring import open_ledger_channel
from gateway.config import DATABASE_ROLE, GatewaySettings
from gateway.identity import RequestIdentity
from gateway.merchants.store import MerchantStore
from gateway.merchants.stripe_events import MerchantSync
from gateway.payments.domain.check_outcome import DecisionContext
from gateway.payments.store.group_commit import PaymentCommitter, commit_connections
from gateway.payments.store.snapshot import PaymentWriter
from gateway.payments.stripe.events import PaymentEvents
from gateway.payments.wiring import timing_of
from gateway.payouts.stripe_events import Payouts
from gateway.recovery.guard import RestoreGuard
from gateway.recovery.holds import HoldCheck
from gateway.recovery.recovery import Progress, Recovery, StripeUnavailableError
from gateway.recovery.subjects import LostSubjects
from gateway.stripe_client.wiring import open_stripe_client
from gateway.webhooks_in.inbox import PostgresInbox
from runtime.acts import Act, add_by, open_act_log
from runtime.clock import Clock, SystemClock
from runtime.migrations import prepare_database
from runtime.notifier import Notifier, SubjectNotifiers
from runtime.postgres import close_engine, create_engine
from runtime.process import Command

EXIT_UNAVAILABLE = 1


@asynccontextmanager
async def open_recovery(
    url: str, settings: GatewaySettings, clock: Clock, progress: Progress
) -> AsyncIterator[Recovery]:
    """What a recovery needs of a gateway, and nothing that begins anything; `url` is of the
    database, which is prepared."""
    async with AsyncExitStack() as stack:
        engine: AsyncEngine = create_engine(
            url, role=DATABASE_ROLE, pool_size=2, application_name="gateway recover"
        )
        stack.push_async_callback(close_engine, engine)
        commits = commit_connections(url, DATABASE_ROLE)
        stack.push_async_callback(commits.close)
        stripe = await stack.enter_async_context(
            # Gateways that begin nothing probe nothing: their breakers may stay open meanwhile.
            open_stripe_client(settings.corridors, engine, in_group=False)
        )
        identity = RequestIdentity(settings.deployment)
        guard = RestoreGuard(engine, stripe.client, identity, clock)
        timing = timing_of(settings)
        events = PaymentEvents(
            engine,
            stripe.client,
            # Nothing is put off here, so that no pause is drawn.
            lambda: DecisionContext(clock.now(), timing, jitter=0.0),
            PaymentWriter(PaymentCommitter(commits)),
            SubjectNotifiers(),
            Notifier(),
            timing,
            guard,
        )
        inbox = PostgresInbox(engine, clock)
        books = open_ledger_channel(settings)
        stack.push_async_callback(books.close)
        ledger = LedgerLog(books, settings.ledger_name)
        holds = HoldCheck(engine, stripe.client, ledger, guard, clock, timing)
        merchants = MerchantStore(engine, clock)
        subjects = LostSubjects(engine, MerchantSync(stripe.client, merchants, clock), clock)
        payouts = Payouts(engine, stripe.client, merchants, identity, guard, clock)
        parts = events, inbox, ledger, holds, subjects, merchants, payouts, guard
        yield Recovery(engine, stripe.client, *parts, clock, timing, progress)


def _configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--since",
        type=_time,
        metavar="TIME",
        help="read what Stripe has since then, as in 2026-11-01T12:00:00Z; without it, since an"
        " hour before the last change that the database had when it was noticed",
    )
    add_by(parser)


def _time(text: str) -> datetime:
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no time like 2026-11-01T12:00:00Z") from None
    return given if given.tzinfo is not None else given.replace(tzinfo=UTC)


async def _recover(settings: GatewaySettings, arguments: Namespace) -> int:
    def progress(line: str) -> None:
        print(line, flush=True)

    url = await prepare_database(settings)
    clock = SystemClock()
    try:
        async with (
            open_recovery(url, settings, clock, progress) as recovery,
            open_act_log(url, DATABASE_ROLE, clock) as acts,
            acts.act(Act(arguments.by, "gateway recover")),
        ):
            await recovery.run(arguments.since)
    except StripeUnavailableError as error:
        progress(f"Stripe cannot be asked about {error}: run it again, what is done stays done")
        return EXIT_UNAVAILABLE
    except LedgerUnavailableError as error:
        progress(f"{error}: run it again, what is done stays done")
        return EXIT_UNAVAILABLE
    return 0


RECOVER = Command[GatewaySettings](
    "recover",
    help="make the database whole after a restore, from what Stripe has",
    description="Rebuilds the payments, refunds, customers, merchants, payouts and requests that"
    " the database has lost by a restore or by a failover, from what Stripe keeps of them, and ends"
    " the holds that the ledger has of what is lost for good. Until it is done the gateway begins"
    " nothing.",
    run=_recover,
    configure=_configure,
)
