"""Events that no webhook brought are fetched."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.merchants import store as merchant_store
from gateway.merchants.store import MerchantStore
from gateway.stripe_client.client import StripeClient
from gateway.webhooks_in.inbox import PostgresInbox
from gateway.webhooks_in.recovery import received_from
from gateway.webhooks_in.walks import LOST_WITHIN
from runtime.clock import ManualClock
from sandbox.stripe_twin.twin import Twin
from tests.backups import backup_of
from tests.gateway.webhooks_in.recovering import CHARGE, recovery_of


async def test_missing_events_are_stored_once_and_in_order(
    twin: Twin, stripe_client: StripeClient, engine: AsyncEngine
) -> None:
    # Nobody listens at this address: Stripe cannot deliver.
    twin.register_webhook("http://127.0.0.1:1/webhooks/stripe/default")
    clock = ManualClock(datetime.now(UTC))
    for number in range(2):
        made = await stripe_client.create_payment_intent("default", CHARGE, f"key-{number}")
        assert made.succeeded
    recovery = recovery_of(stripe_client, engine, clock)
    assert await recovery.recover("default") > 0
    assert await recovery.recover("default") == 0
    async with engine.connect() as connection:
        rows = (
            await connection.execute(
                text("SELECT event_type, created_time FROM webhook_event ORDER BY sequence")
            )
        ).all()
    types = [row.event_type for row in rows]
    assert types.count("payment_intent.succeeded") == 2
    assert types.index("payment_intent.created") < types.index("payment_intent.succeeded")
    times = [row.created_time for row in rows]
    assert times == sorted(times)


async def test_an_outage_of_stripe_leaves_recovery_for_later(
    twin: Twin, stripe_client: StripeClient, engine: AsyncEngine
) -> None:
    clock = ManualClock(datetime.now(UTC))
    twin.outage("error")
    recovery = recovery_of(stripe_client, engine, clock)
    twin.register_webhook("http://127.0.0.1:1/webhooks/stripe/default")
    assert await recovery.recover("default") == 0
    twin.outage("off")
    await stripe_client.create_payment_intent("default", CHARGE, "key-1")
    assert await recovery.recover("default") > 0


async def test_many_missing_events_are_stored_page_by_page_and_where_it_stopped(
    twin: Twin, stripe_client: StripeClient, engine: AsyncEngine
) -> None:
    twin.register_webhook("http://127.0.0.1:1/webhooks/stripe/default")
    clock = ManualClock(datetime.now(UTC))
    for number in range(4):
        await stripe_client.create_payment_intent("default", CHARGE, f"key-{number}")
    recovery = recovery_of(stripe_client, engine, clock, page_size=3, max_pages=5)
    # Each of them makes four events at the least, and two hours later they are settled.
    clock.advance(timedelta(hours=2))
    rounds = [await recovery.recover("default") for _ in range(3)]
    assert rounds[0] > 0
    assert rounds[-1] == 0
    async with engine.connect() as connection:
        rows = (
            await connection.execute(
                text("SELECT event_id, created_time FROM webhook_event ORDER BY sequence")
            )
        ).all()
    events = await stripe_client.records.list_events("default", {"limit": 100})
    assert events.object is not None
    listed = [event["id"] for event in events.object["data"]]
    assert [row.event_id for row in rows] == listed[::-1]
    twin.outage("error")
    assert await recovery.recover("default") == 0
    twin.outage("off")
    await stripe_client.create_payment_intent("default", CHARGE, "key-later")
    assert await recovery.recover("default") > 0


async def test_connected_accounts_are_looked_at_in_turn(
    twin: Twin, stripe_client: StripeClient, engine: AsyncEngine
) -> None:
    twin.register_webhook("http://127.0.0.1:1/webhooks/stripe/default", connect=True)
    clock = ManualClock(datetime.now(UTC))
    merchants = MerchantStore(engine, clock)
    accounts = []
    for number in range(4):
        made = await stripe_client.accounts.create_account(
            "default", {"country": "US", "type": "custom"}, f"account-{number}"
        )
        assert made.object is not None
        accounts.append(made.object["id"])
        async with engine.begin() as connection:
            await merchant_store.add(
                connection,
                merchant_id=f"m_{number}",
                corridor="default",
                request_id=f"merchant-{number}",
                now=clock.now(),
                stripe_account_id=accounts[-1],
            )
    # We may no longer ask for this one.
    await merchants.disconnect("m_3")
    for account in accounts:
        twin.complete_onboarding(account)
    recovery = recovery_of(
        stripe_client, engine, clock, merchants.accounts_after, accounts_per_round=2
    )
    rounds = [await recovery.recover_connected("default") for _ in range(4)]
    assert rounds[0] > 0 < rounds[1]
    # Begun anew, and everything was there.
    assert rounds[2:] == [0, 0]
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT DISTINCT stripe_account, event_type FROM webhook_event")
        )
    found = {tuple(row) for row in rows}
    assert {account for account, _ in found} == set(accounts[:3])
    assert {(account, "account.updated") for account in accounts[:3]} <= found


async def test_what_was_delivered_and_a_failover_has_lost_is_fetched(
    twin: Twin,
    stripe_client: StripeClient,
    engine: AsyncEngine,
    database_url: str,
    postgres_url: str,
) -> None:
    """Stripe does not list it as undelivered."""
    clock = ManualClock(datetime.now(UTC))
    inbox = PostgresInbox(engine, clock)
    recovery = recovery_of(stripe_client, engine, clock, page_size=3)

    async def seen() -> int:
        await recovery.look_at_database()
        return await recovery.recover("default")

    async def stored() -> list[str]:
        async with engine.connect() as connection:
            ids = await connection.execute(
                text("SELECT event_id FROM webhook_event ORDER BY sequence")
            )
            return [str(one) for one in ids.scalars()]

    async def deliver() -> None:
        events = await stripe_client.records.list_events("default", {"limit": 100})
        assert events.object is not None
        await inbox.store_all(received_from(events.object["data"], "default", None, clock.now()))

    await stripe_client.create_payment_intent("default", CHARGE, "key-before")
    # A database that never had an event has lost none.
    assert await seen() == 0
    await deliver()
    before = await stored()
    with backup_of(postgres_url, database_url) as backup:
        backup.take()
        await stripe_client.create_payment_intent("default", CHARGE, "key-lost")
        await deliver()
        lost = (await stored())[len(before) :]
        assert await seen() == 0
        backup.restore()
        assert await seen() == len(lost)
        assert await stored() == before + lost
        assert await seen() == 0


async def test_what_came_long_before_the_newest_is_not_asked_for_again(
    twin: Twin, stripe_client: StripeClient, engine: AsyncEngine
) -> None:
    clock = ManualClock(datetime.now(UTC))
    inbox = PostgresInbox(engine, clock)
    await stripe_client.create_payment_intent("default", CHARGE, "key-long-ago")
    events = await stripe_client.records.list_events("default", {"limit": 100})
    assert events.object is not None
    newest = {**events.object["data"][0], "id": "evt_newest"}
    newest["created"] += int((LOST_WITHIN + timedelta(minutes=1)).total_seconds())
    await inbox.store_all(received_from([newest], "default", None, clock.now()))
    recovery = recovery_of(stripe_client, engine, clock)
    await recovery.look_at_database()
    assert await recovery.recover("default") == 0
