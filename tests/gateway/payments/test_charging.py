"""Charges as a shop sees them: gRPC in front, PostgreSQL below, the Stripe twin behind."""

import pytest

from compliance.v1.case_pb2 import CASE_STATE_OPEN, CASE_STATE_REFUSED
from compliance.v1.decision_pb2 import ReasonCode, Verdict
from gateway.v1.payment_pb2 import (
    CaptureMethod,
    ComplianceVerdict,
    Failure,
    OperationKind,
    OperationState,
    PaymentMethod,
    PaymentState,
)
from gateway.v1.refund_pb2 import RefundState
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import RefusedError, Shop, euros, fresh
from tests.gateway.running import OpenShop

S = PaymentState
MANUAL = CaptureMethod.CAPTURE_METHOD_MANUAL


async def test_a_charge_succeeds_and_its_fee_becomes_known(shop: Shop, twin: Twin) -> None:
    payment = await shop.create(description="Two books", metadata={"order": "42"})
    assert payment.state == S.PAYMENT_STATE_SUCCEEDED
    assert payment.amount_captured.minor_units == payment.amount.minor_units == 2000
    assert payment.compliance.verdict == ComplianceVerdict.COMPLIANCE_VERDICT_ALLOW
    assert [fact.kind for fact in payment.booking.facts] == ["hold_placed", "captured"]
    event = await shop.watch_for(payment.id, "fee_known")
    [charge] = twin.books()["default"]["charges"]
    assert event.payment.charge_id == charge["id"]
    assert event.payment.fee.minor_units == twin.books()["default"]["fees"]["eur"]
    [intent] = twin.books()["default"]["payment_intents"]
    assert intent["metadata"]["order"] == "42"
    facts = (await shop.get(payment.id)).booking.facts
    assert [fact.kind for fact in facts] == ["hold_placed", "captured", "fee_charged"]


@pytest.mark.parametrize("token", ["pm_card_visa", "pm_card_threeDSecure2Required"])
@pytest.mark.parametrize("manual", [False, True])
async def test_the_answer_is_what_reading_the_payment_gives(
    open_shop: OpenShop, token: str, *, manual: bool
) -> None:
    fields = {"capture_method": MANUAL} if manual else {}
    # Neither events nor the ledger go on with it in between.
    async with open_shop(webhooks=False, roles="api") as shop:
        payment = await shop.create(payment_method=PaymentMethod(token=token), **fields)
        assert payment == await shop.get(payment.id)


async def test_a_decline_is_an_answer_and_releases_the_hold(shop: Shop) -> None:
    payment = await shop.create(
        payment_method=PaymentMethod(token="pm_card_chargeDeclinedInsufficientFunds")
    )
    assert payment.state == S.PAYMENT_STATE_DECLINED
    assert payment.decline.code == "card_declined"
    assert payment.decline.decline_code == "insufficient_funds"
    assert payment.decline.advice_code == "try_again_later"
    asked = payment.operations[-1].failure
    assert (asked.code, asked.stripe_code, asked.stripe_type) == (
        "declined",
        "card_declined",
        "card_error",
    )
    assert asked.stripe_request_id.startswith("req_")
    assert payment.amount_captured.minor_units == 0
    assert [f.kind for f in payment.booking.facts] == ["hold_placed", "hold_released"]


async def test_a_request_that_stripe_refuses_fails_and_says_which_parameter(shop: Shop) -> None:
    payment = await shop.create(payment_method=PaymentMethod(token="pm_nosuch"))
    assert payment.state == S.PAYMENT_STATE_FAILED
    assert payment.failure.code == "stripe_rejected"
    assert payment.failure.stripe_code == "resource_missing"
    assert payment.failure.stripe_param == "payment_method"
    assert payment.failure.stripe_type == "invalid_request_error"
    assert payment.failure.stripe_request_id.startswith("req_")
    # The operation has what Stripe said, the payment also what it means.
    asked = payment.operations[-1].failure
    assert payment.failure.reason == "PAYMENT_METHOD_NOT_FOUND"
    asked.reason = payment.failure.reason
    assert asked == payment.failure
    assert [f.kind for f in payment.booking.facts] == ["hold_placed", "hold_released"]


@pytest.mark.parametrize("action", ["capture", "cancel", "refund"])
async def test_whatever_stripe_refuses_leaves_something_to_go_by(
    shop: Shop, twin: Twin, action: str
) -> None:
    payment = await shop.create(**({} if action == "refund" else {"capture_method": MANUAL}))
    # As Stripe refuses a refund of more than is left: with a parameter, and without a code.
    body = {"error": {"type": "invalid_request_error", "param": "amount", "message": "Too much."}}
    path = "/v1/refunds" if action == "refund" else f".*/{action}"
    twin.add_fault(kind="proxy", status=400, body=body, method="POST", path=path, count=1)
    await getattr(shop, action)(payment)
    asked = (await shop.get(payment.id)).operations[-1]
    assert asked.state == OperationState.OPERATION_STATE_FAILED
    assert asked.failure_code == "invalid_request_error"
    assert asked.failure == Failure(
        code="stripe_rejected",
        stripe_type="invalid_request_error",
        stripe_param="amount",
        stripe_request_id=twin.requests.matching("POST")[-1].request_id,
    )
    if action == "refund":
        [refund] = (await shop.get(payment.id)).refunds
        assert refund.state == RefundState.REFUND_STATE_FAILED
        assert refund.failure_code == "invalid_request_error"


async def test_a_manual_capture_takes_a_part_and_releases_the_rest(shop: Shop, twin: Twin) -> None:
    payment = await shop.create(capture_method=MANUAL)
    assert payment.state == S.PAYMENT_STATE_AUTHORIZED
    assert payment.amount_authorized.minor_units == 2000
    assert payment.HasField("capture_before_time")
    payment = await shop.capture(payment, 1500)
    assert payment.state == S.PAYMENT_STATE_SUCCEEDED
    assert payment.amount_captured.minor_units == 1500
    [charge] = twin.books()["default"]["charges"]
    assert charge["amount_captured"] == 1500
    # The fee may have come by webhook already.
    facts = {fact.kind: fact.amount.minor_units for fact in payment.booking.facts}
    assert facts["captured"] == 1500


async def test_more_than_authorised_cannot_be_captured(shop: Shop, twin: Twin) -> None:
    payment = await shop.create(capture_method=MANUAL)
    with pytest.raises(RefusedError) as refused:
        await shop.capture(payment, 2001)
    assert refused.value.error.reason == "AMOUNT_EXCEEDS_AUTHORIZED"
    assert refused.value.error.metadata["limit_minor"] == "2000"
    assert not twin.requests.matching("POST", f"/v1/payment_intents/{payment.payment_intent_id}")
    assert (await shop.get(payment.id)).state == S.PAYMENT_STATE_AUTHORIZED


async def test_an_authorisation_is_canceled(shop: Shop, twin: Twin) -> None:
    payment = await shop.cancel(await shop.create(capture_method=MANUAL))
    assert payment.state == S.PAYMENT_STATE_CANCELED
    assert payment.amount_authorized.minor_units == 0
    assert [f.kind for f in payment.booking.facts] == ["hold_placed", "hold_released"]
    [intent] = twin.books()["default"]["payment_intents"]
    assert intent["status"] == "canceled"
    with pytest.raises(RefusedError) as refused:
        await shop.capture(payment)
    assert refused.value.error.reason == "INVALID_PAYMENT_STATE"


async def test_3d_secure_is_completed_and_confirmed(shop: Shop, twin: Twin) -> None:
    payment = await shop.create(
        payment_method=PaymentMethod(token="pm_card_threeDSecure2Required"),
        return_url="https://shop.example/back",
    )
    assert payment.state == S.PAYMENT_STATE_REQUIRES_ACTION
    assert payment.next_action.redirect_url.startswith("http")
    assert not payment.next_action.client_secret
    waiting = await shop.confirm(payment)
    assert waiting.state == S.PAYMENT_STATE_REQUIRES_ACTION
    assert waiting.next_action.redirect_url
    twin.complete_authentication(payment.payment_intent_id)
    done = await shop.confirm(payment)
    assert done.state == S.PAYMENT_STATE_SUCCEEDED
    assert not done.HasField("next_action")


async def test_3d_secure_without_a_redirect_gives_a_secret_that_lists_do_not_show(
    shop: Shop,
) -> None:
    payment = await shop.create(payment_method=PaymentMethod(token="pm_card_threeDSecure2Required"))
    assert "_secret_" in payment.next_action.client_secret
    [event] = (await shop.watch_until(payment.id, S.PAYMENT_STATE_REQUIRES_ACTION))[-1:]
    assert not event.payment.next_action.client_secret


async def test_a_failed_3d_secure_is_a_decline(shop: Shop, twin: Twin) -> None:
    payment = await shop.create(payment_method=PaymentMethod(token="pm_card_threeDSecure2Required"))
    twin.complete_authentication(payment.payment_intent_id, passed=False)
    done = await shop.confirm(payment)
    assert done.state == S.PAYMENT_STATE_DECLINED
    assert [f.kind for f in done.booking.facts] == ["hold_placed", "hold_released"]


async def test_3d_secure_off_session_is_a_decline_that_says_so(shop: Shop) -> None:
    payment = await shop.create(
        payment_method=PaymentMethod(token="pm_card_threeDSecure2Required"), off_session=True
    )
    assert payment.state == S.PAYMENT_STATE_DECLINED
    assert payment.decline.authentication_required


async def test_refunds_in_parts_until_nothing_is_left(shop: Shop, twin: Twin) -> None:
    payment = await shop.create()
    first = await shop.refund(payment, 500)
    assert first.refund.state == RefundState.REFUND_STATE_SUCCEEDED
    assert first.payment.amount_refunded.minor_units == 500
    with pytest.raises(RefusedError) as refused:
        await shop.refund(payment, 1501)
    assert refused.value.error.reason == "AMOUNT_EXCEEDS_REFUNDABLE"
    rest = await shop.refund(payment)
    assert rest.refund.amount.minor_units == 1500
    assert rest.payment.amount_refunded.minor_units == 2000
    with pytest.raises(RefusedError):
        await shop.refund(payment)
    assert [r["amount"] for r in twin.books()["default"]["refunds"]] == [500, 1500]
    assert [r.amount.minor_units for r in rest.payment.refunds] == [500, 1500]
    assert len(twin.requests.matching("POST", "/v1/refunds")) == 2


async def test_a_refund_that_fails_later_can_be_made_again(shop: Shop, twin: Twin) -> None:
    payment = await shop.create()
    refund = (await shop.refund(payment)).refund
    twin.fail_refund(refund.stripe_refund_id)
    event = await shop.watch_for(payment.id, "refund_failed")
    assert event.payment.amount_refunded.minor_units == 0
    shown = await shop.get(payment.id)
    assert shown.refunds[0].state == RefundState.REFUND_STATE_FAILED
    refunds = [f.kind for f in shown.booking.facts if f.kind.startswith("refund")]
    assert refunds == ["refund_created", "refund_failed"]
    again = await shop.refund(payment)
    assert again.payment.amount_refunded.minor_units == 2000


async def test_a_denied_payment_never_reaches_stripe(
    shop: Shop, twin: Twin, compliance: FakeCompliance
) -> None:
    compliance.verdict = Verdict.VERDICT_DENY
    payment = await shop.create()
    assert payment.state == S.PAYMENT_STATE_BLOCKED
    assert list(payment.compliance.merchant_reasons) == ["The payment needs another look."]
    assert not payment.booking.facts
    assert not twin.requests.matching("POST")


async def test_a_payment_in_review_is_asked_about_again_and_then_charged(
    open_shop: OpenShop, twin: Twin, compliance: FakeCompliance
) -> None:
    compliance.verdict = Verdict.VERDICT_REVIEW
    async with open_shop(review_recheck_seconds=0.1) as shop:
        payment = await shop.create()
        assert payment.state == S.PAYMENT_STATE_IN_REVIEW
        assert not twin.requests.matching("POST")
        compliance.verdict = Verdict.VERDICT_ALLOW
        await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
    # Each question is a new one: the same would get the same decision.
    assert len({request.request_id for request in compliance.requests}) == len(compliance.requests)


async def test_a_payment_goes_on_when_its_case_is_closed(
    open_shop: OpenShop, compliance: FakeCompliance
) -> None:
    compliance.verdict = Verdict.VERDICT_REVIEW
    # Nothing but the news makes it go on.
    async with open_shop(review_recheck_seconds=3600.0) as shop:
        approved, refused, other = [await shop.create() for _ in range(3)]
        compliance.verdict = Verdict.VERDICT_ALLOW
        compliance.cases.close(approved.id)
        await shop.watch_until(approved.id, S.PAYMENT_STATE_SUCCEEDED)
        compliance.verdict = Verdict.VERDICT_DENY
        # It goes on where it was, after compliance was away; what is open or unknown is no news.
        await compliance.stop()
        await compliance.start()
        compliance.cases.close("pay_unknown")
        compliance.cases.close(approved.id)
        compliance.cases.close(other.id, state=CASE_STATE_OPEN)
        compliance.cases.close(refused.id, state=CASE_STATE_REFUSED)
        await shop.watch_until(refused.id, S.PAYMENT_STATE_BLOCKED)
        assert (await shop.get(other.id)).state == S.PAYMENT_STATE_IN_REVIEW
    asked = [request.payment_id for request in compliance.requests]
    assert sorted(asked) == sorted([approved.id, approved.id, refused.id, refused.id, other.id])
    first, *later = compliance.cases.requests
    assert first.HasField("start_record_time")
    assert {request.after_sequence for request in later} == {1}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (ReasonCode.REASON_CODE_MERCHANT_UNKNOWN, ["MERCHANT_UNKNOWN"]),
        (ReasonCode.REASON_CODE_CUSTOMER_UNKNOWN, ["CUSTOMER_UNKNOWN"]),
        (ReasonCode.REASON_CODE_SUBJECT_MISMATCH, ["SUBJECT_MISMATCH"]),
        (ReasonCode.REASON_CODE_MERCHANT_MATCH_OPEN, []),
    ],
)
async def test_a_mistake_in_the_request_is_told_as_such_and_a_suspicion_is_not(
    shop: Shop, compliance: FakeCompliance, code: "ReasonCode.ValueType", told: list[str]
) -> None:
    compliance.verdict, compliance.code = Verdict.VERDICT_REVIEW, code
    payment = await shop.create()
    assert payment.state == S.PAYMENT_STATE_IN_REVIEW
    assert list(payment.compliance.request_errors) == told
    assert (await shop.get(payment.id)).compliance == payment.compliance


async def test_a_payment_in_review_can_be_canceled(shop: Shop, compliance: FakeCompliance) -> None:
    compliance.verdict = Verdict.VERDICT_REVIEW
    payment = await shop.cancel(await shop.create())
    assert payment.state == S.PAYMENT_STATE_CANCELED


async def test_what_compliance_is_asked(shop: Shop, compliance: FakeCompliance) -> None:
    payment = await shop.create(
        merchant_id="m_7", customer_id="", amount=euros(777), request_id=fresh()
    )
    [request] = compliance.requests
    assert request.payment_id == payment.id
    assert request.merchant_id == "m_7"
    assert request.customer_id == ""
    assert request.amount.minor_units == 777
    assert request.corridor == "default"


async def test_every_post_to_stripe_carries_a_key(shop: Shop, twin: Twin) -> None:
    payment = await shop.create(capture_method=MANUAL)
    await shop.capture(payment)
    await shop.refund(payment, 1)
    await shop.cancel(await shop.create(capture_method=MANUAL))
    keys = [request.idempotency_key for request in twin.requests.matching("POST")]
    assert len(set(keys)) == len(keys) == 5
    assert twin.requests.posts_without_key == 0
    kinds = [o.kind for o in (await shop.get(payment.id)).operations]
    assert kinds == [
        OperationKind.OPERATION_KIND_CHECK,
        OperationKind.OPERATION_KIND_AUTHORIZE,
        OperationKind.OPERATION_KIND_CAPTURE,
        OperationKind.OPERATION_KIND_REFUND,
    ]


async def test_a_refund_that_waits_for_balance_says_so_and_counts(shop: Shop, twin: Twin) -> None:
    payment = await shop.create()
    twin.settings.refunds_need_balance = True
    waiting = await shop.refund(payment, 1500)
    assert waiting.refund.state == RefundState.REFUND_STATE_PENDING
    assert waiting.refund.pending_reason == "insufficient_funds"
    assert waiting.payment.amount_refunded.minor_units == 0
    assert "refund_created" not in [f.kind for f in waiting.payment.booking.facts]
    with pytest.raises(RefusedError) as refused:
        await shop.refund(payment, 501)
    assert refused.value.error.reason == "AMOUNT_EXCEEDS_REFUNDABLE"
    assert refused.value.error.metadata["limit_minor"] == "500"

    twin.record_transaction("default", BalanceEntry(type="topup", amount=1500, currency="eur"))
    twin.advance(seconds=twin.settings.async_refund_seconds)
    event = await shop.watch_for(payment.id, "refund_succeeded")
    assert event.payment.amount_refunded.minor_units == 1500
    shown = await shop.get(payment.id)
    assert shown.refunds[0].state == RefundState.REFUND_STATE_SUCCEEDED
    assert not shown.refunds[0].pending_reason
    assert [f.kind for f in shown.booking.facts if f.kind.startswith("refund")] == [
        "refund_created"
    ]
