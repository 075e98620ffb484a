"""What was lost with a gateway's database is booked under what the ledger has of it, and once."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from gateway.bookkeeping.facts import HOLD_PREFIX
from gateway.v1.payment_pb2 import CaptureMethod, Payment, PaymentState, UnavailablePolicy
from runtime.clock import SystemClock
from sandbox.polling import poll
from sandbox.stripe_twin.twin import Twin
from tests.backups import Backup
from tests.gateway.payments.cards import bank_treats_as, saved_card
from tests.gateway.payments.shop import RefusedError, Shop, refused
from tests.gateway.payments.test_bank_debits import DECIDED
from tests.gateway.payments.test_bank_debits import begin as begin_debit
from tests.gateway.payments.test_bank_debits import kinds as debit_kinds
from tests.gateway.running import OpenShop

S = PaymentState
UNBOOKED = "state <> 'BOOKED'"
# Longer than a recovery reads PaymentIntents back.
LONG_AGO = timedelta(days=10)
QUEUE = UnavailablePolicy.UNAVAILABLE_POLICY_QUEUE
MANUAL = CaptureMethod.CAPTURE_METHOD_MANUAL


class LaterClock(SystemClock):
    """The clock of long after."""

    def now(self) -> datetime:
        return super().now() + LONG_AGO


async def test_a_charge_of_a_later_try_is_booked_under_the_hold_that_the_ledger_has(
    open_shop: OpenShop,
    backup: Backup,
    recover: Callable[..., Any],
    database_url: str,
    ledger_address: str,
) -> None:
    backup.take()
    async with open_shop(ledger_address=ledger_address) as shop:
        await shop.close_corridor()
        assert await refused(shop.create(request_id="later")) == "CORRIDOR_UNAVAILABLE"
        await shop.open_corridor()
        payment = await poll(lambda: _tried(shop, "later"), lambda made: made is not None)
        assert payment is not None
        await poll(lambda: facts_booked(database_url), lambda booked: "fee" in "".join(booked))
        before = await facts_booked(database_url)
    backup.restore()
    async with open_shop(webhooks=False, roles="api"):
        await recover()
        rebuilt = {fact for fact in await facts_reported(database_url) if "fee" not in fact}
    # Of the first try there is a hold that was released, too, which the ledger has and keeps.
    assert len(rebuilt) == 2
    assert rebuilt < before


async def test_a_charge_that_waited_in_the_backup_is_booked_under_a_hold_of_its_own(
    open_shop: OpenShop,
    backup: Backup,
    recover: Callable[..., Any],
    database_url: str,
    ledger_address: str,
) -> None:
    """The backup has the try that sent nothing, and the payment in the queue; what was charged
    afterwards is lost, and the ledger knows nothing of it."""
    async with open_shop(ledger_address=ledger_address) as shop:
        await shop.close_corridor()
        waiting = await shop.create(unavailable_policy=QUEUE)
        assert waiting.state == S.PAYMENT_STATE_QUEUED
        await poll(lambda: facts_booked(database_url), lambda booked: len(booked) == 2)
    backup.take()
    async with open_shop() as shop:
        await shop.open_corridor()
        await shop.watch_for(waiting.id, "fee_known")
    backup.restore()
    async with open_shop(ledger_address=ledger_address, webhooks=False, roles="api") as shop:
        # It reads although operators had closed the corridor when the backup was made.
        await recover()
        await shop.open_corridor()
    async with open_shop(ledger_address=ledger_address) as shop:
        await shop.watch_for(waiting.id, "fee_known")
        booked = await poll(lambda: facts_booked(database_url), lambda now: "fee" in "".join(now))
        assert (await shop.get(waiting.id)).state == S.PAYMENT_STATE_SUCCEEDED
    assert len([fact for fact in booked if fact.startswith(HOLD_PREFIX)]) == 2


async def test_a_payment_that_was_canceled_before_anybody_noticed_is_left_to_a_person(
    open_shop: OpenShop, backup: Backup, recover: Callable[..., Any], database_url: str
) -> None:
    async with open_shop() as shop:
        await shop.close_corridor()
        waiting = await shop.create(unavailable_policy=QUEUE)
    backup.take()
    async with open_shop() as shop:
        await shop.open_corridor()
        await shop.watch_for(waiting.id, "fee_known")
        paid = await shop.get(waiting.id)
        await shop.refund(paid, 5_00)
    backup.restore()
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE payment SET state = 'CANCELED'")
        connection.execute("UPDATE operation SET state = 'CANCELED', end_time = now()")
    said = await recover()
    stands = f"{waiting.id} is CANCELED, but {paid.payment_intent_id} is CAPTURED: look at it"
    assert stands in said
    assert said[-1] == "recovered: payments are taken again"
    async with open_shop(webhooks=False, roles="api") as shop:
        # In the backup it is closed, and nothing is compared.
        await shop.open_corridor()
    # Neither the charge that is left there nor what was given back of it closes the guard again.
    async with open_shop(webhooks=False, roles="api") as shop:
        assert (await shop.create()).state == S.PAYMENT_STATE_SUCCEEDED


@pytest.mark.parametrize("in_backup", ["nothing", "queued", "authorized"])
async def test_a_payment_that_was_canceled_at_stripe_is_canceled_and_holds_nothing(
    open_shop: OpenShop,
    twin: Twin,
    backup: Backup,
    recover: Callable[..., Any],
    database_url: str,
    ledger_address: str,
    in_backup: str,
) -> None:
    request: dict[str, Any] = {"request_id": "canceled", "capture_method": MANUAL}
    if in_backup == "nothing":
        backup.take()
    async with open_shop(ledger_address=ledger_address) as shop:
        if in_backup == "queued":
            await shop.close_corridor()
            await shop.create(**request, unavailable_policy=QUEUE)
            await poll(lambda: facts_booked(database_url), lambda booked: len(booked) == 2)
            backup.take()
            await shop.open_corridor()
        held = await shop.create(**request, unavailable_policy=QUEUE)
        await poll(lambda: shop.get(held.id), lambda now: now.state == S.PAYMENT_STATE_AUTHORIZED)
        if in_backup == "authorized":
            backup.take()
        await shop.cancel(held)
        # All that was placed is released.
        facts = 4 if in_backup == "queued" else 2
        await poll(lambda: facts_booked(database_url), lambda booked: len(booked) == facts)
        before = await facts_booked(database_url)
    backup.restore()
    said = await recover()
    assert not [line for line in said if "look at it" in line]
    async with open_shop(ledger_address=ledger_address, webhooks=False) as shop:
        again = await shop.create(**request, unavailable_policy=QUEUE)
        assert (again.id, again.state) == (held.id, S.PAYMENT_STATE_CANCELED)
        await poll(lambda: facts_booked(database_url), lambda booked: booked == before)
    assert len(twin.books()["default"]["payment_intents"]) == 1


async def test_an_attempt_that_is_lost_is_booked_under_its_own_hold_and_once(
    open_shop: OpenShop,
    twin: Twin,
    backup: Backup,
    recover: Callable[..., Any],
    database_url: str,
    ledger_address: str,
) -> None:
    """The backup has a refused payment, for which the customer came back and paid."""
    card = await saved_card(twin, "visa")
    bank_treats_as(twin, card, "authenticationRequired")
    async with open_shop(ledger_address=ledger_address) as shop:
        declined = await shop.create(payment_method=card, off_session=True)
        assert declined.state == S.PAYMENT_STATE_DECLINED
        await poll(lambda: facts_booked(database_url), lambda booked: len(booked) == 2)
    backup.take()
    async with open_shop(ledger_address=ledger_address) as shop:
        waiting = await shop.confirm(declined)
        twin.complete_authentication(waiting.payment_intent_id)
        paid = await shop.confirm(waiting)
        assert paid.state == S.PAYMENT_STATE_SUCCEEDED
        await poll(lambda: facts_booked(database_url), lambda booked: "fee" in "".join(booked))
        before = await facts_booked(database_url)
    backup.restore()
    async with open_shop(ledger_address=ledger_address, webhooks=False, roles="api") as shop:
        # The charge at Stripe shows it, though the payment is known.
        assert await refused(shop.create()) == "DATABASE_BEHIND"
        await recover()
    async with open_shop(ledger_address=ledger_address) as shop:
        await shop.watch_for(paid.id, "fee_known")
        after = await poll(
            lambda: facts_booked(database_url), lambda booked: "fee" in "".join(booked)
        )
        assert (await shop.get(paid.id)).state == S.PAYMENT_STATE_SUCCEEDED
    assert after == before


async def test_an_attempt_of_a_payment_of_long_ago_is_found_by_its_charge(
    open_shop: OpenShop,
    twin: Twin,
    backup: Backup,
    recover: Callable[..., Any],
    database_url: str,
    ledger_address: str,
) -> None:
    """No list of the newest PaymentIntents shows it."""
    card = await saved_card(twin, "visa")
    bank_treats_as(twin, card, "authenticationRequired")
    async with open_shop(ledger_address=ledger_address) as shop:
        declined = await shop.create(payment_method=card, off_session=True)
    twin.advance(seconds=LONG_AGO.total_seconds())
    clock, books = LaterClock(), {"ledger_address": ledger_address}
    async with open_shop(clock, webhooks=False, **books) as shop:
        await shop.create(request_id="of-late")
        await poll(lambda: facts_reported(database_url, UNBOOKED), lambda waits: not waits)
    backup.take()
    async with open_shop(clock, webhooks=False, **books) as shop:
        waiting = await shop.confirm(declined)
        twin.complete_authentication(waiting.payment_intent_id)
        paid = await shop.confirm(waiting)
        assert paid.state == S.PAYMENT_STATE_SUCCEEDED
        await poll(lambda: facts_reported(database_url, UNBOOKED), lambda waits: not waits)
        before = await facts_booked(database_url)
    backup.restore()
    async with open_shop(clock, webhooks=False, **books) as shop:
        assert await refused(shop.create()) == "DATABASE_BEHIND"
        said = await recover(clock)
        assert "default: 2 charges read, 1 of older PaymentIntents" in said
        assert (await shop.get(paid.id)).state == S.PAYMENT_STATE_SUCCEEDED
        await poll(lambda: facts_reported(database_url, UNBOOKED), lambda waits: not waits)
        after = await facts_booked(database_url)
    assert _without_fees(after) == _without_fees(before)


def _without_fees(facts: set[str]) -> set[str]:
    """Fees are told by events, when they come."""
    return {fact for fact in facts if "fee" not in fact}


async def test_a_customer_who_came_back_may_still_authenticate(
    open_shop: OpenShop,
    twin: Twin,
    backup: Backup,
    recover: Callable[..., Any],
    database_url: str,
    ledger_address: str,
) -> None:
    """The backup has a refused payment, whose customer came back and has not authenticated yet."""
    card = await saved_card(twin, "visa")
    bank_treats_as(twin, card, "authenticationRequired")
    async with open_shop(ledger_address=ledger_address) as shop:
        declined = await shop.create(payment_method=card, off_session=True)
        await poll(lambda: facts_booked(database_url), lambda booked: len(booked) == 2)
    backup.take()
    async with open_shop(ledger_address=ledger_address) as shop:
        waiting = await shop.confirm(declined, request_id="return")
        assert waiting.state == S.PAYMENT_STATE_REQUIRES_ACTION
        await poll(lambda: facts_booked(database_url), lambda booked: len(booked) == 3)
        before = await facts_booked(database_url)
    backup.restore()
    async with open_shop(ledger_address=ledger_address, webhooks=False, roles="api") as shop:
        await recover()
        again = await shop.get(waiting.id)
        assert (again.state, again.customer_returned) == (waiting.state, True)
        assert again.next_action == waiting.next_action
    async with open_shop(ledger_address=ledger_address) as shop:
        assert (
            await poll(lambda: facts_booked(database_url), lambda booked: len(booked) == 3)
            == before
        )
        twin.complete_authentication(waiting.payment_intent_id)
        paid = await shop.confirm(again, request_id="return")
        assert paid.state == S.PAYMENT_STATE_SUCCEEDED
        await shop.watch_for(paid.id, "fee_known")
        assert len([fact for fact in await facts_booked(database_url) if "hold" in fact]) == 2


async def test_a_charge_of_a_later_attempt_is_not_that_of_the_one_under_way_in_the_backup(
    open_shop: OpenShop,
    backup: Backup,
    recover: Callable[..., Any],
    database_url: str,
    ledger_address: str,
) -> None:
    """The backup is of while the first try was under way, which sent nothing; a later one paid."""
    async with open_shop(ledger_address=ledger_address) as shop:
        await shop.close_corridor()
        waiting = await shop.create(unavailable_policy=QUEUE)
        await poll(lambda: facts_booked(database_url), lambda booked: len(booked) == 2)
    backup.take()
    async with open_shop(ledger_address=ledger_address) as shop:
        await shop.open_corridor()
        await shop.watch_for(waiting.id, "fee_known")
        await poll(lambda: facts_booked(database_url), lambda booked: "fee" in "".join(booked))
        before = await facts_booked(database_url)
    backup.restore()
    with psycopg.connect(database_url) as connection:
        for statement in (
            "DELETE FROM booking WHERE kind = 'hold_released'",
            "DELETE FROM operation WHERE queued",
            "UPDATE operation SET state = 'UNKNOWN', end_time = NULL, failure_code = '',"
            " first_send_time = create_time, last_send_time = create_time WHERE kind = 'AUTHORIZE'",
            "UPDATE payment SET state = 'AUTHORIZING', queue_reason = '', wake_time = NULL,"
            " hold_id = (SELECT id FROM operation WHERE kind = 'AUTHORIZE')",
        ):
            connection.execute(statement)
    said = await recover()
    assert "1 holds are placed anew, which lost attempts had released" in said
    async with open_shop(ledger_address=ledger_address) as shop:
        await shop.open_corridor()
        await shop.watch_for(waiting.id, "fee_known")
        after = await poll(lambda: facts_booked(database_url), lambda booked: booked >= before)
        assert (await shop.get(waiting.id)).state == S.PAYMENT_STATE_SUCCEEDED
    assert after == before
    assert not await facts_reported(database_url, UNBOOKED)


async def test_a_hold_that_is_in_the_backup_is_captured_and_refunded_after_it(
    open_shop: OpenShop, backup: Backup, recover: Callable[..., Any]
) -> None:
    async with open_shop() as shop:
        held = await shop.create(request_id="held", capture_method=MANUAL)
    backup.take()
    async with open_shop() as shop:
        captured = await shop.capture(held, 15_00, request_id="capture")
        refund = await shop.refund(captured, 7_00, request_id="refund")
    backup.restore()
    async with open_shop(webhooks=False, roles="api") as shop:
        assert await refused(shop.create(request_id="new")) == "DATABASE_BEHIND"
    lines = await recover()
    assert not [line for line in lines if "left to its event" in line]
    # Nothing of what is at Stripe is missing any more.
    async with open_shop(webhooks=False, roles="api") as shop:
        again = await shop.refund(captured, 7_00, request_id="refund")
        assert again.refund.id == refund.refund.id
        assert (await shop.get(held.id)).amount_captured.minor_units == 15_00


async def test_a_bank_debit_that_is_lost_comes_back_as_one_and_is_booked_when_it_is_paid(
    open_shop: OpenShop, twin: Twin, backup: Backup, recover: Callable[..., Any]
) -> None:
    async with open_shop() as shop:
        await shop.create(request_id="kept")
    backup.take()
    async with open_shop() as shop:
        lost = await begin_debit(shop, request_id="debit")
    backup.restore()
    async with open_shop(webhooks=False, roles="api") as shop:
        assert await refused(shop.create(request_id="new")) == "DATABASE_BEHIND"
    await recover()
    async with open_shop() as shop:
        again = await begin_debit(shop, request_id="debit")
        assert (again.id, again.payment_method.type) == (lost.id, lost.payment_method.type)
        twin.advance(seconds=DECIDED)
        await shop.watch_for(lost.id, "fee_known")
        paid = await shop.get(lost.id)
    assert debit_kinds(paid) == ["hold_placed", "captured", "fee_charged"]
    debits = [item for item in twin.books()["default"]["charges"] if item["id"][:3] == "py_"]
    assert [charge["id"] for charge in debits] == [paid.charge_id]


async def _tried(shop: Shop, request_id: str) -> Payment | None:
    try:
        return await shop.create(request_id=request_id)
    except RefusedError:
        return None


async def facts_reported(database_url: str, condition: str = "TRUE") -> set[str]:
    """Ids of facts."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        statement = sql.SQL("SELECT fact_id FROM booking WHERE {}").format(sql.SQL(condition))
        rows = await (await connection.execute(statement)).fetchall()
    return {row[0] for row in rows}


async def facts_booked(database_url: str) -> set[str]:
    return await facts_reported(database_url, "state = 'BOOKED'")


async def test_what_is_booked_anew_has_the_times_that_it_had(
    open_shop: OpenShop,
    twin: Twin,
    backup: Backup,
    recover: Callable[..., Any],
    database_url: str,
) -> None:
    """Days later, from lists of Stripe's."""
    backup.take()
    twin.settings.settlement_seconds = 0.2
    async with open_shop() as shop:
        plain = await shop.create()
        held = await shop.create(capture_method=MANUAL)
        await shop.watch_until(held.id, S.PAYMENT_STATE_AUTHORIZED)
        # The capture is another moment than the charge.
        twin.advance(seconds=3600)
        await shop.capture(held)
        refund = (await shop.refund(plain, 5_00)).refund
        twin.fail_refund(refund.stripe_refund_id)
        wanted = ("captured", "refund_created", "refund_failed")
        times = await poll(
            lambda: _times(database_url, *wanted), lambda found: len(found) == len(wanted) + 1
        )
    backup.restore()
    async with open_shop(webhooks=False, roles="api"):
        await recover(LaterClock())
    assert await _times(database_url, *wanted) == times
    assert len({when for kind, when in times.values() if kind == "captured"}) == len((plain, held))


async def _times(database_url: str, *kinds: str) -> dict[str, tuple[str, datetime]]:
    """Kind and time of the facts that were reported, by their objects at Stripe."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await connection.execute(
            "SELECT kind, fact ->> 'charge_id', fact ->> 'refund_id', effective_time FROM booking"
            " WHERE kind = ANY(%s)",
            [list(kinds)],
        )
        return {
            f"{kind} {charge or refund}": (kind, when)
            for kind, charge, refund, when in await rows.fetchall()
        }
