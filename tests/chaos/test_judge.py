"""The judge accepts a history that may be and refuses each that may not."""

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.evidence import (
    Answer,
    Change,
    Intent,
    OutcomeLookup,
    PaymentRecord,
    Post,
    RefundRecord,
    SavedObject,
    StripeRefund,
    Told,
)
from tests.chaos.judge import judge

PAID = PaymentRecord(
    id="pay_1",
    request_id="request-1",
    state="SUCCEEDED",
    corridor="default",
    currency="USD",
    amount_minor=1_000,
    captured_minor=1_000,
    refunded_minor=300,
    revision=2,
    payment_intent_id="pi_1",
    charge_id="ch_1",
    booking="BOOKED",
    refunds=(RefundRecord("ref_1", "request-1.1", "SUCCEEDED", 300, "re_1"),),
)
INTENT = Intent("pi_1", "default", "pay_1", "succeeded", "USD", 1_000, 1_000, "ch_1")
REFUND = StripeRefund("re_1", "pi_1", "ref_1", "succeeded", 300)
CREATED = Answer("request-1", "CreatePayment", "pay_1", "SUCCEEDED", 1_000)
REFUNDED = Answer("request-1.1", "RefundPayment", "pay_1", refund_id="ref_1")
SAVED = SavedObject("seti_1", "default setup_intents request-1.save")
HELD = replace(PAID, state="AUTHORIZED", captured_minor=0, refunded_minor=0, refunds=())
HOLD = replace(INTENT, status="requires_capture", received_minor=0)
TOLD = (Told(1, "pay_1", 1), Told(2, "pay_1", 2))
GOOD = OutcomeLookup(
    answers=(CREATED, REFUNDED, CREATED),
    payments=(PAID,),
    feed=(Change(1, "pay_1", 1, "RECEIVED"), Change(2, "pay_1", 2, "SUCCEEDED")),
    intents=(
        INTENT,
        # A decline before it took nothing.
        replace(INTENT, id="pi_0", status="requires_payment_method", received_minor=0),
    ),
    stripe_refunds=(REFUND,),
    # The same number in the other account is another customer.
    saved_objects=(
        SAVED,
        SavedObject("cus_1", "default customers 1"),
        SavedObject("cus_2", "backup customers 1"),
    ),
    posts=(
        Post("/v1/payment_intents", "op_1-1", "a", "acct_1"),
        Post("/v1/payment_intents", "op_1-1", "a", "acct_1"),
        Post("/v1/refunds", "op_2-1", "b", "acct_1"),
        # Nobody looked at one that came during an outage.
        Post("/v1/refunds", "op_2-1", "b", "", status=503, acted=False),
    ),
    acknowledged_events=frozenset({"evt_1"}),
    stored_events=frozenset({"evt_1", "evt_2"}),
    told=(*TOLD, *TOLD),
)


def with_payment(**changes: Any) -> OutcomeLookup:
    return replace(GOOD, payments=(replace(PAID, **changes),))


def with_intent(**changes: Any) -> OutcomeLookup:
    return replace(GOOD, intents=(replace(INTENT, **changes),))


def without_money(state: str, status: str) -> OutcomeLookup:
    """The payment and its PaymentIntent in states in which nothing was taken."""
    return replace(
        GOOD,
        answers=(),
        payments=(replace(HELD, state=state),),
        feed=(Change(1, "pay_1", 1, "RECEIVED"), Change(2, "pay_1", 2, state)),
        told=None,
        intents=(replace(HOLD, status=status),),
        stripe_refunds=(),
    )


@pytest.mark.parametrize(
    "evidence",
    [
        OutcomeLookup(),
        GOOD,
        without_money("AUTHORIZED", "requires_capture"),
        without_money("REQUIRES_ACTION", "requires_action"),
        without_money("CANCELED", "canceled"),
        without_money("DECLINED", "requires_payment_method"),
        # The same request was refused twice.
        replace(
            GOOD,
            answers=(CREATED, *[Answer("r.2", "RefundPayment", reason="TOO_MANY_REFUNDS")] * 2),
        ),
    ],
)
def test_what_may_be_is_accepted(evidence: OutcomeLookup) -> None:
    assert judge(evidence) == []


# Answered before the database was put back, and nothing of it at Stripe.
FORGOTTEN = replace(
    GOOD,
    answers=(CREATED, Answer("request-9", "CreatePayment", "pay_9", "EXPIRED")),
    restores=1,
)


def test_a_restored_gateway_may_forget_what_nothing_at_stripe_tells() -> None:
    assert judge(FORGOTTEN) == []
    # Told after the restore, it has to be known; and so has whatever is at Stripe.
    since = replace(FORGOTTEN.answers[1], restores=1)
    ninth = replace(INTENT, id="pi_9", payment_id="pay_9", status="canceled")
    for evidence in (
        replace(FORGOTTEN, answers=(CREATED, since)),
        replace(FORGOTTEN, intents=(INTENT, ninth)),
    ):
        assert "lost payment" in {violation.rule for violation in judge(evidence)}


FAULTS: dict[str, tuple[str, OutcomeLookup]] = {
    "charged twice": (
        "double charge",
        replace(GOOD, intents=(INTENT, replace(INTENT, id="pi_2"))),
    ),
    "charged what people refused": ("refused charge", replace(GOOD, refused=frozenset({"pay_1"}))),
    "charged on two accounts": (
        "double charge",
        replace(GOOD, intents=(INTENT, replace(INTENT, id="pi_2", corridor="backup"))),
    ),
    "held and charged": (
        "double charge",
        replace(GOOD, intents=(INTENT, replace(HOLD, id="pi_2"))),
    ),
    "refunded twice": (
        "double refund",
        replace(GOOD, stripe_refunds=(REFUND, replace(REFUND, id="re_2"))),
    ),
    "a card saved twice": (
        "saved twice",
        replace(GOOD, saved_objects=(SAVED, replace(SAVED, id="seti_2"))),
    ),
    "accepted and forgotten": ("lost payment", replace(GOOD, payments=())),
    "charged for nobody": (
        "lost payment",
        replace(GOOD, intents=(INTENT, replace(INTENT, id="pi_9", payment_id="pay_9"))),
    ),
    "one request, two payments": (
        "lost payment",
        replace(GOOD, payments=(PAID, replace(PAID, id="pay_2", payment_intent_id="pi_2"))),
    ),
    "a refund that was answered and is not there": (
        "lost payment",
        with_payment(refunds=(replace(PAID.refunds[0], id="ref_2"),)),
    ),
    "never decided": ("undecided", without_money("AUTHORIZING", "succeeded")),
    "queued for ever": ("undecided", without_money("QUEUED", "canceled")),
    "an operation left open": ("undecided", with_payment(open_operations=("CAPTURE",))),
    "held past its deadline": (
        "undecided",
        replace(without_money("AUTHORIZED", "requires_capture"), past_horizon=True),
    ),
    "waiting for a customer past the deadline": (
        "undecided",
        replace(without_money("REQUIRES_ACTION", "requires_action"), past_horizon=True),
    ),
    "a refund left open": (
        "undecided",
        with_payment(
            refunds=(
                *PAID.refunds,
                RefundRecord("ref_2", "request-1.2", "PENDING", 10, ""),
            )
        ),
    ),
    "never at rest": ("undecided", replace(GOOD, restless=("3 facts not booked",))),
    "declined, but charged": ("untrue state", without_money("DECLINED", "succeeded")),
    "expired, but held": ("untrue state", without_money("EXPIRED", "requires_capture")),
    "canceled, but waiting": ("untrue state", without_money("CANCELED", "requires_action")),
    "held here, canceled there": ("untrue state", without_money("AUTHORIZED", "canceled")),
    "succeeded without a charge": ("untrue state", replace(GOOD, intents=())),
    "another amount captured": ("untrue state", with_intent(received_minor=999)),
    "another currency": ("untrue state", with_intent(currency="EUR")),
    "another account": ("untrue state", with_intent(corridor="backup")),
    "another charge": ("untrue state", with_intent(charge_id="ch_2")),
    "somebody else's PaymentIntent": (
        "untrue state",
        replace(
            GOOD,
            payments=(PAID, replace(PAID, id="pay_2", request_id="request-2", refunds=())),
        ),
    ),
    "a refund Stripe knows alone": ("untrue refund", with_payment(refunds=(), refunded_minor=0)),
    "a refund Stripe does not know": ("untrue refund", replace(GOOD, stripe_refunds=())),
    "a refund that failed": (
        "untrue refund",
        replace(GOOD, stripe_refunds=(replace(REFUND, status="failed"),)),
    ),
    "another amount refunded": ("untrue refund", with_payment(refunded_minor=299)),
    "told of a decline": (
        "untrue answer",
        replace(GOOD, answers=(replace(CREATED, state="DECLINED", captured_minor=0),)),
    ),
    "told of another amount": (
        "untrue answer",
        replace(GOOD, answers=(replace(CREATED, captured_minor=900),)),
    ),
    "refused, then done": (
        "untrue answer",
        replace(
            GOOD,
            answers=(
                Answer("request-1.1", "RefundPayment", reason="AMOUNT_EXCEEDS_REFUNDABLE"),
                REFUNDED,
            ),
        ),
    ),
    "a cent too much": ("books", replace(GOOD, books_differences=("usd pending: 1, not 0",))),
    "a broken log": ("books", replace(GOOD, ledger_intact=False)),
    "not booked": ("books", with_payment(booking="PENDING")),
    "refused by the ledger": ("books", with_payment(booking="REFUSED")),
    "no key": ("key", replace(GOOD, posts=(Post("/v1/refunds", "", "a", "acct_1"),))),
    "a key for two bodies": (
        "key",
        replace(GOOD, posts=(GOOD.posts[0], replace(GOOD.posts[0], body_hash="other"))),
    ),
    "a key for two endpoints": (
        "key",
        replace(GOOD, posts=(GOOD.posts[0], replace(GOOD.posts[0], path="/v1/refunds"))),
    ),
    "a key in two corridors": (
        "key in two corridors",
        replace(GOOD, posts=(*GOOD.posts, replace(GOOD.posts[0], account="acct_2"))),
    ),
    "acknowledged and lost": (
        "webhook",
        replace(GOOD, acknowledged_events=frozenset({"evt_1", "evt_3"})),
    ),
    "forged": ("webhook", replace(GOOD, accepted_forgeries=("old refund.failed",))),
    "let in": ("rights", replace(GOOD, let_in=("/ledger.v1.LedgerService/CreateLedger",))),
    "given up": ("webhook", replace(GOOD, dead_letters=("evt_2 charge.updated",))),
    "a hole in the feed": (
        "feed",
        replace(GOOD, feed=(GOOD.feed[0], replace(GOOD.feed[1], sequence=3))),
    ),
    "a revision that was left out": (
        "feed",
        replace(
            GOOD,
            payments=(replace(PAID, revision=3),),
            feed=(GOOD.feed[0], Change(2, "pay_1", 3, "SUCCEEDED")),
        ),
    ),
    "a feed that ends too early": ("feed", replace(GOOD, feed=GOOD.feed[:1])),
    "a change that no client was told of": ("told", replace(GOOD, told=(Told(1, "pay_1", 1),))),
    "told of what never was": ("told", replace(GOOD, told=(*TOLD, Told(3, "pay_1", 3)))),
    "told in another order": ("told", replace(GOOD, told=TOLD[::-1])),
    "told without a signature": (
        "told",
        replace(GOOD, told=(*TOLD, Told(2, "pay_1", 2, signed=False))),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_may_not_be_is_refused(name: str) -> None:
    rule, evidence = FAULTS[name]
    violations = judge(evidence)
    assert rule in {violation.rule for violation in violations}, violations
    assert all(violation.why for violation in violations)
