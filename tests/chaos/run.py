"""A run from plan to verdict."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import grpc

from gateway.v1 import webhook_endpoint_service_pb2 as pb
from gateway.v1.webhook_endpoint_service_pb2_grpc import WebhookEndpointServiceStub
from gateway.webhooks_out.domain import MAX_IN_FLIGHT
from runtime.tasks import cancel
from sandbox.clients import Clients
from sandbox.demo.scenarios import SANCTIONED_NAME
from sandbox.demo.shop import Shop
from sandbox.policies import without_history_limits
from tests.chaos.children import Nursery
from tests.chaos.client import play
from tests.chaos.cluster import CLIENT, Cluster, running_cluster
from tests.chaos.customers import Customers
from tests.chaos.evidence import Decided, OutcomeLookup, Told
from tests.chaos.gathering import gather
from tests.chaos.healing import HORIZONS, Time, heal, let_alarms_pass, pass_horizons
from tests.chaos.judge import judge
from tests.chaos.patience import Patience
from tests.chaos.plan import GATEWAYS, Plan, PlannedPayment
from tests.chaos.progress import Progress
from tests.chaos.promotion import let_routing_decide
from tests.chaos.restores import Operators
from tests.chaos.reviews import Reviewers
from tests.chaos.troubles import Troubles
from tests.chaos.twin import ChaosTwin
from tests.chaos.verdict import Violation
from tests.gateway.webhooks_out.receiver import Receiver

# Clients at once: with few payments not all of them, so that kills come at every age of a payment.
MIN_AT_ONCE, MAX_AT_ONCE = 24, 128
PAYMENTS_PER_CLIENT = 8
REPORT_SECONDS = 5.0
SHOWN_ERRORS = 12
# So many of the decided requests are asked once more in the end.
ECHOES = 60
ECHO_TRIES = 3
Say = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """What came of a run."""

    plan: Plan
    evidence: OutcomeLookup
    violations: tuple[Violation, ...]
    kills: Counter[str]
    restored: Counter[str]
    troubles: Counter[str]
    held: int
    turned_away: int
    reviews: Counter[str]
    errors: Counter[str]
    seconds: float

    def figures(self) -> str:
        """One line that says it all."""
        broken = Counter(violation.rule for violation in self.violations)
        evidence, intelligence = self.evidence, self.evidence.intelligence
        states = Counter(payment.state for payment in evidence.payments)
        captured = sum(1 for intent in evidence.intents if intent.received_minor)
        saved = sum(" setup_intents " in made.asked for made in evidence.saved_objects)
        return ", ".join(
            (
                f"{len(self.plan.payments)} payments",
                f"{sum(self.kills.values())} kills",
                f"{len(self.plan.restores)} restores",
                f"{broken['double charge']} double charges",
                f"{broken['double refund']} double refunds",
                f"{broken['refused charge']} charges of what was refused",
                f"{broken['saved twice']} cards saved twice",
                f"{broken['lost payment']} lost",
                f"{broken['undecided']} undecided",
                f"{broken['untrue state'] + broken['untrue refund']} untrue states",
                f"{broken['untrue answer']} untrue answers",
                f"{broken['books']} differences in the books",
                f"{broken['key']} keys misused",
                f"{broken['webhook']} webhooks lost or forged",
                f"{broken['rights']} calls without rights let in",
                f"{broken['feed']} gaps in the feed",
                f"{broken['told']} changes untold",
                f"{broken['corridor'] + broken['left while unknown']} wrong corridors",
                f"{broken['key in two corridors']} keys in two corridors",
                f"{broken['decision']} decisions that do not follow from their record",
                f"{broken['lesson']} lessons that are not true",
                f"{broken['alarm'] + broken['incident']} alarms that are not as seen",
                f"{captured} charges",
                f"{len(evidence.stripe_refunds)} refunds",
                f"{saved} cards saved",
                f"{len(evidence.posts)} POSTs",
                f"{len(evidence.stored_events)} webhooks",
                f"{len(evidence.told or ())} webhooks to a client",
                f"{len(intelligence.decided)} decisions of routing",
                f"{len(routed_away(evidence))} led elsewhere",
                f"{len(discounted(evidence))} with a discount",
                f"{len(intelligence.learnt)} lessons",
                f"{len(intelligence.alarms)} alarms",
                f"states {dict(sorted(states.items()))}",
                f"killed {dict(sorted(self.kills.items()))}",
                f"put back {dict(sorted(self.restored.items()))}",
                f"{sum(self.troubles.values())} other troubles",
                f"{self.held} holds due together",
                f"{self.turned_away} large calls without rights refused",
                f"cases {dict(sorted(self.reviews.items()))}",
                f"{sum(self.errors.values())} errors answered",
                f"{self.seconds:.0f} s",
            )
        )


async def run(plan: Plan, logs: Path, say: Say) -> Report:
    """Plays a plan, heals, and judges."""
    started = time.monotonic()
    async with (
        Nursery.open(logs / "nursery.log") as nursery,
        running_cluster(nursery, logs) as cluster,
        ChaosTwin.open(cluster.twin_url) as twin,
        AsyncExitStack() as stack,
    ):
        channels = [
            await stack.enter_async_context(cluster.channel(gateway, CLIENT))
            for gateway in GATEWAYS
        ]
        progress = Progress()
        clocks = Time(cluster, twin)
        operators = Operators(clocks)
        customers = await open_shop(
            cluster, twin, channels, plan.payments, lambda: operators.restored["gateway"]
        )
        listener = await stack.enter_async_context(Receiver.listening())
        secret = await listen(channels[0], listener.url)
        await let_routing_decide(cluster, clocks.now())
        troubles = Troubles(clocks, plan, progress)
        say(f"started after {time.monotonic() - started:.1f} s")
        going = asyncio.create_task(troubles.run())
        restoring = asyncio.create_task(operators.restore_all(plan, progress))
        watching = asyncio.create_task(operators.watch())
        stack.push_async_callback(cancel, watching)
        reviewers = Reviewers(cluster)
        stack.push_async_callback(cancel, asyncio.create_task(reviewers.watch()))
        telling = asyncio.create_task(_tell(progress, cluster, customers, say, started))
        try:
            at_once = clients_at_once(len(plan.payments))
            await play(customers, plan.payments, at_once, progress)
            progress.finish()
            await going
            await restoring
        finally:
            telling.cancel()
            going.cancel()
            restoring.cancel()
        say(f"errors answered: {dict(customers.errors.most_common(SHOWN_ERRORS))}")
        say(f"healing after {time.monotonic() - started:.1f} s")
        await cluster.serving()
        await troubles.open_corridors()
        await heal(clocks)
        await pass_horizons(clocks)
        await ask_again(customers, plan)
        # What had failed for want of Stripe may have begun anew.
        restless = await pass_horizons(clocks, HORIZONS[-1:])
        say(f"waiting for alarms to pass after {time.monotonic() - started:.1f} s")
        restless += await let_alarms_pass(clocks)
        say(f"judging after {time.monotonic() - started:.1f} s")
        evidence = await gather(
            cluster,
            twin,
            answers=customers.answers,
            accepted_forgeries=troubles.accepted_forgeries,
            let_in=troubles.let_in,
            reviewed={planned.request_id for planned in plan.payments if planned.reviewed},
            told=tuple(
                Told(r.sequence, r.payment_id, r.revision, r.verified_with(secret))
                for r in listener.received
            ),
            restless=restless,
            past_horizon=True,
            restores=operators.restored["gateway"],
            lost_until=operators.lost_until,
            may_use=customers.may_use,
        )
        return Report(
            plan,
            evidence,
            tuple(judge(evidence)),
            cluster.kills,
            operators.restored,
            troubles.counts,
            troubles.held,
            troubles.turned_away,
            reviewers.decided,
            customers.errors,
            time.monotonic() - started,
        )


def routed_away(evidence: OutcomeLookup) -> list[Decided]:
    """The decisions that sent a payment elsewhere than to the corridor that its client named."""
    return [
        made for made in evidence.intelligence.decided if made.corridor != made.believed[0].corridor
    ]


def discounted(evidence: OutcomeLookup) -> list[Decided]:
    """The decisions in which foresight had taken something off a candidate."""
    return [
        made
        for made in evidence.intelligence.decided
        if any(each.discount for each in made.believed)
    ]


def clients_at_once(payments: int) -> int:
    """How many clients share so many payments."""
    return max(MIN_AT_ONCE, min(MAX_AT_ONCE, payments // PAYMENTS_PER_CLIENT))


async def open_shop(
    cluster: Cluster,
    twin: ChaosTwin,
    channels: list[grpc.aio.Channel],
    payments: Sequence[PlannedPayment] = (),
    restores: Callable[[], int] = lambda: 0,
) -> Customers:
    """The clients, with a merchant that may be paid, one that may not, a customer, and one more for
    each card that is to be saved."""
    async with (
        cluster.channel("compliance") as compliance,
        cluster.channel("ledger") as ledger,
    ):
        clients = Clients.over(gateway=channels[0], compliance=compliance, ledger=ledger)
        await without_history_limits(clients.policies)
        shop = Shop(clients, twin)
        merchant = await shop.add_merchant("Fern & Finch Bookshop LLC")
        blocked = await shop.add_merchant(SANCTIONED_NAME)
        await shop.confirm_matches(blocked)
        customer = await shop.add_customer("Ada Mapleton")
        savers = {
            planned.request_id: await shop.add_customer("Ada Mapleton")
            for planned in payments
            if planned.saves
        }
    return Customers(
        channels,
        twin,
        merchant=merchant,
        blocked_merchant=blocked,
        customer=customer,
        savers=savers,
        restores=restores,
    )


async def listen(channel: grpc.aio.Channel, url: str) -> str:
    """Has a client's endpoint told of all changes; its secret."""
    request = pb.CreateWebhookEndpointRequest(
        request_id="chaos-endpoint", url=url, max_in_flight=MAX_IN_FLIGHT
    )
    made = await WebhookEndpointServiceStub(channel).CreateWebhookEndpoint(request)
    return made.secret


async def ask_again(customers: Customers, plan: Plan) -> None:
    """Repeats requests that were decided: the answer has to be the first one."""
    decided = {
        answer.request_id for answer in customers.answers if answer.method == "CreatePayment"
    }
    payments = [planned for planned in plan.payments if planned.request_id in decided]
    random = Random(f"{plan.seed} echoes")
    for planned in random.sample(payments, min(ECHOES, len(payments))):
        await customers.ask(random, customers.create_request(planned), Patience(ECHO_TRIES))


async def _tell(
    progress: Progress, cluster: Cluster, customers: Customers, say: Say, started: float
) -> None:
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        say(
            f"{time.monotonic() - started:6.0f} s: {progress.begun} payments begun,"
            f" {progress.ended} ended, {sum(cluster.kills.values())} kills,"
            f" {len(customers.answers)} answers, {sum(customers.errors.values())} errors"
        )
