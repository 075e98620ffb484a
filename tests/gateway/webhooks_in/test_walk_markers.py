"""Until when the database has the events of an account, and what follows from it when it is another
database: nothing that was acknowledged is lost, however late it came."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.stripe_client.client import StripeClient
from gateway.webhooks_in.inbox import PostgresInbox
from gateway.webhooks_in.walk_markers import WalkMarkers
from gateway.webhooks_in.walks import LOST_WITHIN
from runtime.clock import ManualClock
from sandbox.stripe_twin.twin import Twin
from tests.backups import Backup, backup_of
from tests.gateway.webhooks_in.conftest import START
from tests.gateway.webhooks_in.recovering import CHARGE, deliver, listed, recovery_of, stored

OWN = ("default", None)
NOWHERE = "http://127.0.0.1:1/webhooks/stripe/default"
HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def markers(engine: AsyncEngine) -> WalkMarkers:
    return WalkMarkers(engine)


def time_of(event: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(event["created"], UTC)


async def test_what_came_late_and_a_restore_has_lost_is_fetched(
    stripe_client: StripeClient,
    engine: AsyncEngine,
    clock: ManualClock,
    database_url: str,
    postgres_url: str,
) -> None:
    """Made an hour before the newest event of the backup, and acknowledged for the first time after
    it: Stripe does not list it as undelivered, and it is older than what a failover loses last."""
    await stripe_client.create_payment_intent("default", CHARGE, "key-before")
    await deliver(engine, clock, await listed(stripe_client))
    await recovery_of(stripe_client, engine, clock).work_once()
    before = await stored(engine)
    await stripe_client.create_payment_intent("default", CHARGE, "key-late")
    late = [event for event in await listed(stripe_client) if event["id"] not in before]
    newest = {**late[0], "id": "evt_newest"}
    newest["created"] += int(HOUR.total_seconds())
    await deliver(engine, clock, [newest])
    with backup_of(postgres_url, database_url) as backup:
        backup.take()
        await deliver(engine, clock, late)
        had = await stored(engine)
        backup.restore()
        await recovery_of(stripe_client, engine, clock).work_once()
        assert await stored(engine) == had
        assert len(had) == len(before) + 1 + len(late)


async def test_a_database_that_never_had_an_event_has_no_marker_and_fetches_none(
    stripe_client: StripeClient, engine: AsyncEngine, markers: WalkMarkers, clock: ManualClock
) -> None:
    await stripe_client.create_payment_intent("default", CHARGE, "key-before")
    await recovery_of(stripe_client, engine, clock).work_once()
    assert await stored(engine) == []
    assert await markers.walked_until(OWN) is None


async def test_accounts_without_events_have_markers_by_the_newest_of_any_other(
    stripe_client: StripeClient, engine: AsyncEngine, markers: WalkMarkers, clock: ManualClock
) -> None:
    made = await stripe_client.accounts.create_account(
        "default", {"country": "US", "type": "custom"}, "account-1"
    )
    assert made.object is not None
    account = str(made.object["id"])

    async def connected(_corridor: str, after: int, _limit: int) -> list[tuple[int, str]]:
        return [(1, account)] if after == 0 else []

    await stripe_client.create_payment_intent("default", CHARGE, "key-1")
    events = await listed(stripe_client)
    await deliver(engine, clock, events)
    await recovery_of(stripe_client, engine, clock, connected).work_once()
    until = time_of(events[0]) - LOST_WITHIN
    assert await markers.walked_until(OWN) == until
    assert await markers.walked_until(("default", account)) == until


async def test_what_was_fetched_and_a_restore_has_lost_is_fetched_again(
    twin: Twin,
    stripe_client: StripeClient,
    engine: AsyncEngine,
    clock: ManualClock,
    database_url: str,
    postgres_url: str,
) -> None:
    """A round goes on where the last one came to, but not in another database."""
    with backup_of(postgres_url, database_url) as backup:
        backup.take()
        twin.register_webhook(NOWHERE)
        await stripe_client.create_payment_intent("default", CHARGE, "key-1")
        clock.advance(2 * HOUR)
        recovery = recovery_of(stripe_client, engine, clock)
        await recovery.work_once()
        fetched = await stored(engine)
        backup.restore()
        assert await stored(engine) == []
        await recovery.work_once()
        assert await stored(engine) == fetched != []


@pytest.mark.parametrize("listed_before", range(3))
async def test_a_round_that_stripe_cut_off_moves_no_marker(
    listed_before: int,
    twin: Twin,
    stripe_client: StripeClient,
    engine: AsyncEngine,
    markers: WalkMarkers,
    clock: ManualClock,
) -> None:
    """At the comparison's first page, at its end, or at what is undelivered."""
    await stripe_client.create_payment_intent("default", CHARGE, "key-1")
    events = await listed(stripe_client)
    await deliver(engine, clock, events)
    recovery = recovery_of(stripe_client, engine, clock)
    refusal = {"error": {"type": "invalid_request_error", "message": "not now"}}
    twin.add_fault(
        kind="proxy", path="/v1/events", status=403, body=refusal, skip=listed_before, count=1
    )
    await recovery.work_once()
    assert await markers.walked_until(OWN) is None
    await recovery.work_once()
    assert await markers.walked_until(OWN) == time_of(events[0]) - LOST_WITHIN


async def test_a_round_of_too_many_pages_moves_no_marker_nor_do_those_that_go_on_from_it(
    twin: Twin,
    stripe_client: StripeClient,
    engine: AsyncEngine,
    markers: WalkMarkers,
    clock: ManualClock,
) -> None:
    twin.register_webhook(NOWHERE)
    for number in range(2):
        await stripe_client.create_payment_intent("default", CHARGE, f"key-{number}")
    events = await listed(stripe_client)
    clock.advance(2 * HOUR)
    recovery = recovery_of(stripe_client, engine, clock, page_size=1, max_pages=3)
    for _ in range(3):
        await recovery.work_once()
    # The oldest were never reached.
    assert len(await stored(engine)) < len(events)
    assert await markers.walked_until(OWN) is None
    await recovery_of(stripe_client, engine, clock, page_size=1).work_once()
    assert set(await stored(engine)) == {event["id"] for event in events}
    assert await markers.walked_until(OWN) == time_of(events[0]) - LOST_WITHIN


async def test_a_round_that_began_before_a_failover_moves_no_marker(
    stripe_client: StripeClient,
    engine: AsyncEngine,
    markers: WalkMarkers,
    clock: ManualClock,
    database_url: str,
    postgres_url: str,
) -> None:
    failovers: list[Backup] = []

    async def connected(_corridor: str, _after: int, _limit: int) -> list[tuple[int, str]]:
        # The corridor's own account has been walked by then.
        for backup in failovers:
            backup.restore()
        return []

    await stripe_client.create_payment_intent("default", CHARGE, "key-1")
    await deliver(engine, clock, await listed(stripe_client))
    recovery = recovery_of(stripe_client, engine, clock, connected)
    with backup_of(postgres_url, database_url) as backup:
        backup.take()
        failovers.append(backup)
        await recovery.work_once()
        assert await markers.walked_until(OWN) is None
        failovers.clear()
        await recovery.work_once()
        assert await markers.walked_until(OWN) is not None


async def test_no_marker_goes_back_or_into_another_database(
    engine: AsyncEngine, markers: WalkMarkers, clock: ManualClock
) -> None:
    incarnation, _ = await PostgresInbox(engine, clock).incarnation()
    connected = ("default", "acct_1")
    assert await markers.advance({}, incarnation)
    assert await markers.advance({OWN: START, connected: START + HOUR}, incarnation)
    # A slower replica, whose round began earlier, has something to say of one account alone.
    assert await markers.advance({OWN: START - HOUR, connected: START + 2 * HOUR}, incarnation)
    assert await markers.walked_until(OWN) == START
    assert await markers.walked_until(connected) == START + 2 * HOUR
    assert not await markers.advance({OWN: START + HOUR}, f"{incarnation} of before")
    assert await markers.walked_until(OWN) == START
    assert await markers.walked_until(("backup", None)) is None
