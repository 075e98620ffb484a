"""What Stripe tells of a lost attempt before anybody could know that it is lost."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from gateway.v1.payment_pb2 import PaymentState
from sandbox.polling import poll
from sandbox.stripe_twin.twin import Twin
from tests.backups import Backup
from tests.gateway.payments.cards import bank_treats_as, saved_card
from tests.gateway.payments.shop import refused
from tests.gateway.recovery.test_recovered_bookings import UNBOOKED, facts_booked, facts_reported
from tests.gateway.running import OpenShop

S = PaymentState


@pytest.mark.parametrize("in_backup", ["declined", "under way"])
async def test_an_attempt_that_is_lost_is_not_booked_before_anybody_could_know_that_it_is(
    open_shop: OpenShop,
    twin: Twin,
    backup: Backup,
    recover: Callable[..., Any],
    database_url: str,
    ledger_address: str,
    in_backup: str,
) -> None:
    """Stripe tells of the charge while the account cannot be compared with the database yet. In
    the backup is the attempt before, which the bank declined: over, or still under way."""
    card = await saved_card(twin, "visa")
    bank_treats_as(twin, card, "authenticationRequired")
    async with open_shop(ledger_address=ledger_address) as shop:
        declined = await shop.create(payment_method=card, off_session=True)
        await poll(lambda: facts_booked(database_url), lambda booked: len(booked) == 2)
    backup.take()
    async with open_shop(ledger_address=ledger_address) as shop:
        waiting = await shop.confirm(declined)
        twin.complete_authentication(waiting.payment_intent_id)
        paid = await shop.confirm(waiting)
        await poll(lambda: facts_booked(database_url), lambda booked: "fee" in "".join(booked))
        before = await facts_booked(database_url)
    backup.restore()
    if in_backup == "under way":
        _set_under_way(database_url)
    state = (S.PAYMENT_STATE_AUTHORIZING, S.PAYMENT_STATE_DECLINED)[in_backup == "declined"]
    refusal = {"error": {"type": "api_error", "message": "not now"}}
    fault = twin.add_fault(kind="proxy", method="GET", path="/v1/charges", status=403, body=refusal)
    async with open_shop(ledger_address=ledger_address) as shop:
        (intent,) = twin.account().objects("payment_intent")
        twin.account().emit("payment_intent.succeeded", intent)
        await poll(lambda: _waits(database_url), lambda reason: reason == "DATABASE_BEHIND")
        assert (await shop.get(paid.id)).state == state
    twin.faults.clear(fault)
    async with open_shop(ledger_address=ledger_address, webhooks=False, roles="api") as shop:
        assert await refused(shop.create()) == "DATABASE_BEHIND"
        await recover()
    async with open_shop(ledger_address=ledger_address) as shop:
        await shop.watch_for(paid.id, "fee_known")
        after = await poll(lambda: facts_booked(database_url), lambda booked: booked >= before)
    assert after == before
    assert not await facts_reported(database_url, UNBOOKED)


async def test_the_search_for_a_first_attempt_finds_that_a_later_one_is_lost(
    open_shop: OpenShop, twin: Twin, backup: Backup, database_url: str, ledger_address: str
) -> None:
    """The comparison could not list the charges when it looked, and looks again only later."""
    card = await saved_card(twin, "visa")
    bank_treats_as(twin, card, "authenticationRequired")
    async with open_shop(ledger_address=ledger_address) as shop:
        declined = await shop.create(payment_method=card, off_session=True)
        await poll(lambda: facts_booked(database_url), lambda booked: len(booked) == 2)
    backup.take()
    async with open_shop(ledger_address=ledger_address) as shop:
        waiting = await shop.confirm(declined)
        twin.complete_authentication(waiting.payment_intent_id)
        paid = await shop.confirm(waiting)
    backup.restore()
    _set_under_way(database_url)
    refusal = {"error": {"type": "api_error", "message": "not now"}}
    twin.add_fault(
        kind="proxy", method="GET", path="/v1/charges", status=403, body=refusal, count=1
    )
    async with open_shop(ledger_address=ledger_address, webhooks=False) as shop:
        reason = await poll(lambda: _gap(database_url), lambda reason: reason is not None)
        assert reason == f"a later attempt on {paid.id} is at Stripe"
        assert (await shop.get(paid.id)).state == S.PAYMENT_STATE_AUTHORIZING


async def _gap(database_url: str) -> str | None:
    """Why the database is known to be behind; None if it is not."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await connection.execute("SELECT reason FROM database_gap")
        row = await rows.fetchone()
    return row[0] if row is not None else None


def _set_under_way(database_url: str) -> None:
    """As before Stripe had answered the only attempt, which the ledger had not been told of."""
    with psycopg.connect(database_url) as connection:
        for statement in (
            "DELETE FROM booking WHERE kind = 'hold_released'",
            "UPDATE booking SET state = 'PENDING', ledger = NULL, ledger_sequence = NULL,"
            " decide_time = NULL",
            "UPDATE operation SET state = 'UNKNOWN', end_time = NULL, failure_code = '',"
            " first_send_time = create_time, last_send_time = create_time WHERE kind = 'AUTHORIZE'",
            "UPDATE payment SET state = 'AUTHORIZING', decline_count = 0, charge_id = '',"
            " payment_intent_id = '', failure = NULL, decline = NULL,"
            " hold_id = (SELECT id FROM operation WHERE kind = 'AUTHORIZE')",
        ):
            connection.execute(statement)


async def _waits(database_url: str) -> str | None:
    """What the last event that waits is waiting for."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await connection.execute(
            "SELECT last_failure FROM webhook_event WHERE state = 'PENDING'"
            " AND event_type = 'payment_intent.succeeded'"
        )
        row = await rows.fetchone()
    return row[0] if row is not None else None
