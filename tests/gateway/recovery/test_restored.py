"""A gateway's database is put back to an older moment, and the same requests come again."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import sql

from compliance.v1.decision_pb2 import Verdict
from gateway.config import DATABASE_ROLE
from gateway.payments.stripe.events import PaymentEvents
from gateway.recovery.guard import RestoreGuard
from gateway.recovery.recovery import MARGIN, StripeUnavailableError
from gateway.stripe_client.store import BreakerChange, BreakerStore
from gateway.stripe_client.wiring import DEFAULT_MACHINE_GROUP
from gateway.v1 import payment_service_pb2 as pb
from gateway.v1.payment_pb2 import CaptureMethod, Payment, PaymentState
from runtime.postgres import create_engine
from sandbox.polling import poll
from sandbox.stripe_twin.accounts import DEFAULT_ACCOUNT
from sandbox.stripe_twin.twin import Twin
from tests.backups import Backup
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import RefusedError, Shop, euros, refused
from tests.gateway.payouts.treasury import Treasury
from tests.gateway.running import OpenShop
from tests.sandbox.stripe_twin.conftest import open_shop as open_merchant
from tests.sandbox.stripe_twin.merchants import onboarded_account

S = PaymentState
MANUAL = CaptureMethod.CAPTURE_METHOD_MANUAL


def at_stripe(twin: Twin, what: str) -> int:
    return len(twin.books()["default"][what])


async def pay_and_lose(open_shop: OpenShop, backup: Backup) -> dict[str, Any]:
    """One payment that is in the backup, then three and a refund that are lost."""
    async with open_shop() as shop:
        kept = await shop.create(request_id="kept")
        await shop.watch_for(kept.id, "fee_known")
    backup.take()
    async with open_shop() as shop:
        lost = [await shop.create(request_id=f"lost-{number}") for number in range(2)]
        held = await shop.create(request_id="held", capture_method=MANUAL)
        captured = await shop.capture(held, 15_00, request_id="capture")
        refund = await shop.refund(kept, 7_00, request_id="refund")
        await shop.watch_for(lost[-1].id, "fee_known")
    backup.restore()
    return {"kept": kept, "lost": lost, "captured": captured, "refund": refund.refund}


async def test_a_restored_gateway_begins_nothing_until_it_is_recovered(
    open_shop: OpenShop, twin: Twin, backup: Backup, recover: Callable[..., Any]
) -> None:
    before = await pay_and_lose(open_shop, backup)
    async with open_shop() as shop:
        assert await refused(shop.create(request_id="lost-0")) == "DATABASE_BEHIND"
        assert await refused(shop.create(request_id="new")) == "DATABASE_BEHIND"
        assert await refused(shop.refund(before["kept"], 7_00, request_id="refund")) == (
            "DATABASE_BEHIND"
        )
        # What is there is shown.
        assert (await shop.get(before["kept"].id)).state == S.PAYMENT_STATE_SUCCEEDED
        lines = await recover()
        assert lines[-1] == "recovered: payments are taken again"
        again = await poll(lambda: _created(shop, "lost-0"), lambda made: made is not None)
        assert again is not None
        assert (again.id, again.state) == (before["lost"][0].id, S.PAYMENT_STATE_SUCCEEDED)
        assert (await shop.create(request_id="lost-1")).id == before["lost"][1].id
        held = await shop.create(request_id="held", capture_method=MANUAL)
        assert (held.id, held.amount_captured.minor_units) == (before["captured"].id, 15_00)
        assert (await shop.capture(held, 15_00, request_id="capture")).id == held.id
        repaid = await shop.refund(before["kept"], 7_00, request_id="refund")
        assert repaid.refund.id == before["refund"].id
        another = shop.create(request_id="lost-0", amount=euros(1))
        assert await refused(another) == "REQUEST_ID_REUSED"
        fresh_one = await shop.create(request_id="new")
        assert fresh_one.state == S.PAYMENT_STATE_SUCCEEDED
    assert at_stripe(twin, "payment_intents") == 5
    assert at_stripe(twin, "refunds") == 1


async def test_a_recovered_payment_has_its_fees_and_the_same_requests_mean_the_same(
    open_shop: OpenShop, twin: Twin, backup: Backup, recover: Callable[..., Any]
) -> None:
    """What a part captured took, what the refunds took back, and what left them out."""
    async with open_merchant(twin, twin.account().secret_key) as merchant:
        account = await onboarded_account(merchant)
    fields: dict[str, Any] = {"destination_account_id": account, "application_fee": euros(3_00)}

    async def take(shop: Shop, **said: Any) -> list[Any]:
        held = await shop.create(request_id="held", capture_method=MANUAL, **fields)
        capture = pb.CapturePaymentRequest(
            request_id="capture", payment_id=held.id, amount=euros(10_00)
        )
        if said:
            capture.application_fee.CopyFrom(euros(1_50))
        await shop.call("CapturePayment", capture)
        refunds = [
            pb.RefundPaymentRequest(
                request_id=request_id, payment_id=held.id, amount=euros(1_00), **more
            )
            for request_id, more in (
                ("usual", said),
                ("keeps", {"refund_application_fee": False}),
                ("pays", {"reverse_transfer": False}),
            )
        ]
        return [(await shop.call("RefundPayment", request)).refund for request in refunds]

    async with open_shop() as shop:
        await shop.create(request_id="kept")
    backup.take()
    async with open_shop() as shop:
        before = await take(shop)
        payment = await shop.get(before[0].payment_id)
    backup.restore()
    async with open_shop() as shop:
        await recover()
        assert await poll(lambda: _created(shop, "kept"), lambda made: made is not None)
        after = await take(shop, reverse_transfer=True, refund_application_fee=True)
        again = await poll(
            lambda: shop.get(payment.id), lambda read: read.HasField("transfer_reversed")
        )
    told = ("id", "reverse_transfer", "refund_application_fee")
    assert [[getattr(refund, name) for name in told] for refund in after] == [
        [getattr(refund, name) for name in told] for refund in before
    ]
    for name in ("application_fee", "application_fee_captured", "application_fee_refunded"):
        assert getattr(again, name) == getattr(payment, name), name
    assert (again.application_fee, again.application_fee_captured) == (euros(3_00), euros(1_50))
    assert again.transfer_reversed == payment.transfer_reversed == euros(2_00)
    assert at_stripe(twin, "refunds") == 3


async def _created(shop: Shop, request_id: str) -> Payment | None:
    try:
        return await shop.create(request_id=request_id)
    except RefusedError as refusal:
        if refusal.error.reason != "DATABASE_BEHIND":
            raise
        return None


async def test_the_same_request_is_the_same_at_stripe_while_its_key_is_known(
    open_shop: OpenShop, twin: Twin, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has noticed yet that the database is behind."""
    before = await pay_and_lose(open_shop, backup)

    async def blind(self: RestoreGuard) -> bool:
        return False

    monkeypatch.setattr(RestoreGuard, "_round", blind)
    async with open_shop(webhooks=False, roles="api") as shop:
        for number, lost in enumerate(before["lost"]):
            again = await shop.create(request_id=f"lost-{number}")
            assert (again.id, again.charge_id) == (lost.id, lost.charge_id)
        held = await shop.create(request_id="held", capture_method=MANUAL)
        # Stripe answers as it did then; it is looked at again before it is captured.
        captured = await shop.capture(held, 15_00, request_id="capture")
        assert captured.id == before["captured"].id
        repaid = await shop.refund(before["kept"], 7_00, request_id="refund")
        assert repaid.refund.stripe_refund_id == before["refund"].stripe_refund_id
    assert at_stripe(twin, "payment_intents") == 4
    assert at_stripe(twin, "refunds") == 1


async def test_what_stripe_tells_shows_that_the_database_is_behind(
    open_shop: OpenShop, twin: Twin, backup: Backup, blind: None
) -> None:
    """By an event alone: the look at the start found nothing."""
    await pay_and_lose(open_shop, backup)
    async with open_shop() as shop:
        account = twin.account()
        for intent in account.objects("payment_intent"):
            account.emit("payment_intent.succeeded", intent)
        reason = await poll(lambda: _reason(shop), lambda reason: reason is not None)
        assert reason == "DATABASE_BEHIND"


async def test_a_lost_refund_is_noticed_though_the_process_dies_right_after_writing_it_down(
    open_shop: OpenShop,
    twin: Twin,
    backup: Backup,
    blind: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The refund is known from then on: nothing would tell of its loss again."""
    async with open_shop() as shop:
        kept = await shop.create(request_id="kept")
        await shop.watch_for(kept.id, "fee_known")
    backup.take()
    async with open_shop(webhooks=False) as shop:
        await shop.refund(kept, 7_00, request_id="refund")
    backup.restore()
    told = PaymentEvents._tell
    deaths: list[str] = []

    def dies_once(self: PaymentEvents, payment_id: str, *, hurried: bool) -> None:
        if not deaths:
            deaths.append(payment_id)
            raise ConnectionAbortedError("the process is gone")
        told(self, payment_id, hurried=hurried)

    monkeypatch.setattr(PaymentEvents, "_tell", dies_once)
    async with open_shop() as shop:
        account = twin.account()
        (refund,) = account.objects("refund")
        account.emit("refund.created", refund)
        await poll(lambda: _reason(shop), lambda reason: reason == "DATABASE_BEHIND")
    assert deaths


async def _reason(shop: Shop) -> str | None:
    """What a new payment is refused for."""
    try:
        await shop.create()
    except RefusedError as refusal:
        return refusal.error.reason
    return None


async def test_what_stripe_tells_of_a_payment_that_was_not_yet_sent_waits_for_the_recovery(
    open_shop: OpenShop,
    twin: Twin,
    backup: Backup,
    compliance: FakeCompliance,
    recover: Callable[..., Any],
    database_url: str,
    blind: None,
) -> None:
    compliance.verdict = Verdict.VERDICT_REVIEW
    async with open_shop(webhooks=False, review_recheck_seconds=1) as shop:
        payment = await shop.create(request_id="lost")
        assert payment.state == S.PAYMENT_STATE_IN_REVIEW
    backup.take()
    compliance.verdict = Verdict.VERDICT_ALLOW
    async with open_shop(webhooks=False, review_recheck_seconds=1) as shop:
        await shop.watch_for(payment.id, "captured")
    backup.restore()
    compliance.verdict = Verdict.VERDICT_REVIEW
    async with open_shop(review_recheck_seconds=1) as shop:
        assert await _reason(shop) is None
        account = twin.account()
        (intent,) = account.objects("payment_intent")
        account.emit("payment_intent.succeeded", intent)
        await poll(lambda: _reason(shop), lambda reason: reason == "DATABASE_BEHIND")
        assert await refused(shop.get("pay_" + "0" * 26)) == "DATABASE_BEHIND"
        compliance.verdict = Verdict.VERDICT_ALLOW
        await recover()
        await shop.watch_for(payment.id, "fee_known")
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        dead = await connection.execute("SELECT count(*) FROM webhook_dead_letter")
        assert await dead.fetchone() == (0,)
    carried = [each["metadata"] for each in account.objects("payment_intent")]
    assert carried.count(intent["metadata"]) == 1


async def test_a_charge_of_a_payment_that_compliance_is_asked_about_in_the_backup_is_noticed(
    open_shop: OpenShop, backup: Backup, compliance: FakeCompliance, database_url: str
) -> None:
    """What is under way there asks compliance, and explains no charge."""
    compliance.verdict = Verdict.VERDICT_REVIEW
    async with open_shop(webhooks=False, review_recheck_seconds=1) as shop:
        payment = await shop.create(request_id="lost")
    backup.take()
    compliance.verdict = Verdict.VERDICT_ALLOW
    async with open_shop(webhooks=False, review_recheck_seconds=1) as shop:
        await shop.watch_for(payment.id, "captured")
    backup.restore()
    with psycopg.connect(database_url) as connection:
        # As while compliance is away, or does not answer.
        connection.execute("UPDATE operation SET state = 'UNKNOWN', first_send_time = create_time")
    async with open_shop(webhooks=False, roles="api") as shop:
        assert await _reason(shop) == "DATABASE_BEHIND"


async def test_a_change_that_is_gone_shows_it_without_a_restart(
    open_shop: OpenShop, database_url: str
) -> None:
    """As after a failover to a server that had lagged behind."""
    async with open_shop(webhooks=False) as first:
        payment = await first.create()
    async with open_shop(webhooks=False) as shop:
        # It has seen the payment when it began.
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            await connection.execute("SET session_replication_role = replica")
            for table in ("payment_event", "operation", "payment_request", "booking"):
                await connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
            await connection.execute("DELETE FROM payment WHERE id = %s", [payment.id])
        reason = await poll(lambda: _reason(shop), lambda reason: reason is not None)
        assert reason == "DATABASE_BEHIND"


async def test_a_lost_payout_keeps_its_name_and_is_made_once(
    open_shop: OpenShop, twin: Twin, backup: Backup, recover: Callable[..., Any], blind: None
) -> None:
    async with open_shop() as shop:
        await Treasury.open(shop, twin)
    backup.take()
    async with open_shop() as shop:
        treasury = Treasury(shop, twin, "")
        lost = [await treasury.create(10_00, request_id=f"payout-{number}") for number in range(2)]
    backup.restore()
    async with open_shop(webhooks=False, roles="api") as shop:
        # Nobody has told of it.
        again = await Treasury(shop, twin, "").create(10_00, request_id="payout-0")
        assert (again.id, again.stripe_payout_id) == (lost[0].id, lost[0].stripe_payout_id)
    async with open_shop(webhooks=False) as shop:
        # Stripe has told of this one, and the request comes then.
        treasury = Treasury(shop, twin, "")
        await treasury.listed(lambda payouts: lost[1].id in {payout.id for payout in payouts})
        await poll(lambda: _reason(shop), lambda reason: reason == "DATABASE_BEHIND")
        await recover()
        await poll(lambda: _reason(shop), lambda reason: reason is None)
        again = await treasury.create(10_00, request_id="payout-1")
        assert (again.id, again.stripe_payout_id) == (lost[1].id, lost[1].stripe_payout_id)


async def test_what_cannot_be_read_keeps_nothing_else_from_being_recovered(
    open_shop: OpenShop, twin: Twin, backup: Backup, recover: Callable[..., Any]
) -> None:
    """A word of next year in one object would else keep the gateway closed for good."""
    async with open_shop() as shop:
        strange = await shop.create(request_id="strange", capture_method=MANUAL)
        treasury = await Treasury.open(shop, twin)
        payout = await treasury.create(10_00, request_id="payout")
    backup.take()
    async with open_shop(webhooks=False) as shop:
        lost = await shop.create(request_id="lost")
    backup.restore()
    (intent,) = [
        one
        for one in twin.account().objects("payment_intent")
        if one["id"] == strange.payment_intent_id
    ]
    _account, paid_out = twin.state.locate("payout", payout.stripe_payout_id)
    intent["status"] = paid_out["status"] = "word_of_next_year"
    said = await recover()
    assert (
        f"{payout.stripe_payout_id} of {treasury.account_id} is PAYOUT_UNREADABLE: look at it"
        in said
    )
    assert len([line for line in said if "look at it" in line]) == 2
    assert said[-1] == "recovered: payments are taken again"
    async with open_shop(webhooks=False) as shop:
        assert (await shop.get(lost.id)).state == S.PAYMENT_STATE_SUCCEEDED
        assert await _reason(shop) is None


async def test_a_recovery_that_is_begun_again_begins_where_the_database_ended(
    open_shop: OpenShop, twin: Twin, backup: Backup, recover: Callable[..., Any], database_url: str
) -> None:
    """Although by then changes were written that are newer than all that was lost."""
    before = await pay_and_lose(open_shop, backup)
    async with open_shop(webhooks=False, roles="api") as shop:
        assert await refused(shop.create(request_id="new")) == "DATABASE_BEHIND"
    # The payments are rebuilt, and then Stripe does not answer.
    fault = twin.add_fault(kind="error", method="GET", path="/v1/refunds")
    with pytest.raises(StripeUnavailableError):
        await recover()
    twin.faults.clear(fault)
    first = await _known_until(database_url)
    lines = await recover()
    assert await _known_until(database_url) == first
    since = first - MARGIN
    assert f"reading what Stripe has since {since:%Y-%m-%d %H:%M:%S} UTC" in lines
    async with open_shop(webhooks=False, roles="api") as shop:
        repaid = await shop.refund(before["kept"], 7_00, request_id="refund")
        assert repaid.refund.id == before["refund"].id
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        newest = await connection.execute("SELECT max(record_time) FROM payment_event")
        assert (await newest.fetchall())[0][0] > first


async def test_a_recovery_asks_stripe_although_the_gateways_found_it_failing(
    open_shop: OpenShop, backup: Backup, recover: Callable[..., Any], database_url: str
) -> None:
    await pay_and_lose(open_shop, backup)
    engine = create_engine(database_url, role=DATABASE_ROLE, pool_size=1, application_name="test")
    try:
        await BreakerStore(engine, DEFAULT_MACHINE_GROUP).report(
            BreakerChange(DEFAULT_ACCOUNT.name, "payment_intents", "closed", "open", "a gateway")
        )
    finally:
        await engine.dispose()
    assert (await recover())[-1] == "recovered: payments are taken again"


async def _known_until(database_url: str) -> datetime:
    """Where the one gap that there was begins."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await connection.execute("SELECT known_until FROM database_gap")
        [(known_until,)] = await rows.fetchall()
    assert isinstance(known_until, datetime)
    return known_until.astimezone(UTC)
