"""Breakers of several replicas on one database: what one finds out, all act on."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.stripe_client.breaker import CLOSED, HALF_OPEN, OPEN, BreakerPolicy, EndpointBreaker
from gateway.stripe_client.breaker_group import PROBE_LEASE
from gateway.stripe_client.call import RetryPolicy
from gateway.stripe_client.classify import Health
from gateway.stripe_client.corridors import Corridor
from gateway.stripe_client.outcome import NotSentReason
from gateway.stripe_client.wiring import OpenStripeClient, open_stripe_client
from tests.gateway.stripe_client.scripted_stripe import Answer, ScriptedStripe, error

POLICY = BreakerPolicy(min_calls=2, open_seconds=10.0, probes=2)
SICK = error(500, type="api_error")


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Replica:
    """One process's stripe_client; `refresh` is what its loop does when it is notified."""

    stripe: OpenStripeClient

    @property
    def breaker(self) -> EndpointBreaker:
        return self.stripe.calls.corridor_client("default").breaker("payment_intents")

    async def pay(self, key: str) -> NotSentReason | None:
        outcome = await self.stripe.client.create_payment_intent("default", {"amount": 1}, key)
        return outcome.not_sent_reason

    async def refresh(self) -> None:
        await self.stripe.breakers.refresh()


@dataclass
class Group:
    """Replicas that share a database and a clock."""

    engine: AsyncEngine
    stack: AsyncExitStack
    url: str
    seconds: Seconds

    async def replica(self, machine_group: str = "default") -> Replica:
        corridor = Corridor(
            name="default",
            api_key=SecretStr("sk_test_group"),
            api_base=self.url,
            webhook_secrets=(SecretStr("whsec_group"),),
            breaker=POLICY,
        )
        stripe_client = await self.stack.enter_async_context(
            open_stripe_client(
                [corridor],
                self.engine,
                machine_group=machine_group,
                retry=RetryPolicy(max_attempts=1),
                monotonic=self.seconds,
            )
        )
        return Replica(stripe_client)


@pytest.fixture
async def group(engine: AsyncEngine, stripe_server: ScriptedStripe) -> AsyncIterator[Group]:
    async with AsyncExitStack() as stack:
        yield Group(engine, stack, stripe_server.url, Seconds())


async def opened(replica: Replica, stripe_server: ScriptedStripe) -> None:
    """Opens the replica's breaker by two failures, and tells the others."""
    stripe_server.will(SICK)
    for number in range(POLICY.min_calls):
        await replica.pay(f"key-{number}")
    assert replica.breaker.state == OPEN
    await replica.refresh()


async def test_what_one_finds_out_all_act_on(group: Group, stripe_server: ScriptedStripe) -> None:
    first, second = await group.replica(), await group.replica()
    await opened(first, stripe_server)
    await second.refresh()
    assert second.breaker.state == OPEN
    assert second.breaker.changed_by
    assert not first.breaker.changed_by
    assert await second.pay("key-9") is NotSentReason.BREAKER_OPEN
    assert len(stripe_server.seen) == POLICY.min_calls
    # What was followed is not told again, or the two would go on for ever.
    await first.refresh()
    await second.refresh()
    assert await changes(group) == [("closed", "open")]


async def test_a_replica_that_starts_later_knows(
    group: Group, stripe_server: ScriptedStripe
) -> None:
    await opened(await group.replica(), stripe_server)
    assert (await group.replica()).breaker.state == OPEN


async def test_another_machine_group_judges_by_itself(
    group: Group, stripe_server: ScriptedStripe
) -> None:
    elsewhere = await group.replica("us-east")
    await opened(await group.replica(), stripe_server)
    await elsewhere.refresh()
    assert elsewhere.breaker.state == CLOSED


async def test_one_replica_probes_and_all_close(
    group: Group, stripe_server: ScriptedStripe
) -> None:
    replicas = [await group.replica() for _ in range(4)]
    await opened(replicas[0], stripe_server)
    for replica in replicas:
        await replica.refresh()
    group.seconds.now += POLICY.open_seconds
    for replica in replicas:
        await replica.refresh()
    stripe_server.will(Answer())
    refused = [replica for replica in replicas if not replica.breaker.would_admit]
    assert len(refused) == 3, "one of four has the turn"
    for number, replica in enumerate(replicas):
        for probe in range(POLICY.probes + 1):
            await replica.pay(f"probe-{number}-{probe}")
    # The prober's breaker closed after its probes; the others have sent nothing at all.
    assert len(stripe_server.seen) == POLICY.probes + 1
    for _ in range(2):
        for replica in replicas:
            await replica.refresh()
    assert {replica.breaker.state for replica in replicas} == {CLOSED}
    assert await changes(group) == [
        ("closed", "open"),
        ("open", "half-open"),
        ("half-open", "closed"),
    ]


async def test_probes_that_fail_open_it_for_all_again(
    group: Group, stripe_server: ScriptedStripe
) -> None:
    first, second = await group.replica(), await group.replica()
    await opened(first, stripe_server)
    await second.refresh()
    group.seconds.now += POLICY.open_seconds
    await first.refresh()
    await first.pay("probe-1")
    assert first.breaker.state == OPEN
    await first.refresh()
    group.seconds.now += POLICY.open_seconds - 1
    await second.refresh()
    # Its own time would be over; the group's is not.
    assert second.breaker.seconds_to_probe() > 0
    assert not second.breaker.would_admit


async def time_passes(group: Group, url: str, passed: timedelta) -> None:
    """For the replicas and for the leases, which are on the database's clock."""
    group.seconds.now += passed.total_seconds()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(
            "UPDATE corridor_breaker SET probe_until = probe_until - %s", [passed]
        )


async def test_a_prober_that_died_or_has_nothing_to_send_loses_its_turn(
    group: Group, stripe_server: ScriptedStripe, database_url: str
) -> None:
    first, second = await group.replica(), await group.replica()
    await opened(first, stripe_server)
    await second.refresh()
    group.seconds.now += POLICY.open_seconds
    await first.refresh()
    assert first.breaker.would_admit
    await second.refresh()
    assert not second.breaker.would_admit
    await time_passes(group, database_url, PROBE_LEASE)
    assert not first.breaker.would_admit
    await second.refresh()
    assert second.breaker.would_admit
    await first.refresh()
    assert not first.breaker.would_admit


async def test_a_prober_keeps_its_turn_while_a_probe_is_under_way(
    group: Group, stripe_server: ScriptedStripe, database_url: str
) -> None:
    first, second = await group.replica(), await group.replica()
    await opened(first, stripe_server)
    await second.refresh()
    group.seconds.now += POLICY.open_seconds
    await first.refresh()
    probe = first.breaker.admit()
    assert probe is not None
    assert first.breaker.is_probing
    for _ in range(2):  # Longer than a lease, shorter than a slow call.
        await time_passes(group, database_url, PROBE_LEASE * 0.7)
        await first.refresh()
        await second.refresh()
        assert not second.breaker.would_admit
    probe.give_back(Health.NOT_COUNTED)
    assert not first.breaker.is_probing
    # It is half-open there, so here the time to wait has begun anew.
    await time_passes(group, database_url, timedelta(seconds=POLICY.open_seconds))
    await first.refresh()
    await second.refresh()
    assert second.breaker.would_admit


async def test_without_the_database_each_acts_alone(
    group: Group, stripe_server: ScriptedStripe
) -> None:
    first, second = await group.replica(), await group.replica()
    await opened(first, stripe_server)
    await second.refresh()
    group.seconds.now += POLICY.open_seconds
    assert not second.breaker.would_admit
    second.stripe.breakers.act_alone()
    assert second.breaker.would_admit
    stripe_server.will(Answer())
    assert await second.pay("probe-1") is None
    assert second.breaker.state == HALF_OPEN


async def changes(group: Group) -> list[tuple[str, str]]:
    """The transitions as they were written down."""
    async with group.engine.connect() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT old_state, new_state FROM corridor_breaker_change ORDER BY change_number"
        )
        return [(row.old_state, row.new_state) for row in rows]
