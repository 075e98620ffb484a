"""What routing knows of a payment: coarse buckets, of what the gateway knows anyway."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.payments.domain.card import Card
from gateway.payments.domain.history import Bucket, Past, PaymentHistory, Velocity
from gateway.routing.features import OTHER
from gateway.routing_service.context import RISK_WINDOW, context_of, risk_of, scope_of
from gateway.routing_service.terms import SPACE
from tests.gateway.payments.test_states import new_payment

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
PAYMENT = new_payment(billing_country="US", off_session=True)
NOTHING = PaymentHistory()
RATED = Past(rated=True)
MICROSECOND = timedelta(microseconds=1)


def known(card: Card) -> PaymentHistory:
    return PaymentHistory(kind_of_card=card)


def test_of_a_new_customer_with_a_new_card_the_payment_alone_is_known() -> None:
    context = context_of(PAYMENT, NOTHING, NOW)
    assert (context.region, context.network, context.funding) == ("US", OTHER, OTHER)
    assert (context.risk, context.velocity, context.retry) == (OTHER, 0, False)
    assert (context.currency, context.amount_minor, context.hour) == ("EUR", 1_000, 12)
    assert context.recurring


@pytest.mark.parametrize(
    ("card", "region", "network", "funding"),
    [
        (Card("visa", "credit", "DE"), "EU", "VISA", "CREDIT"),
        (Card("mastercard", "prepaid", "GB"), "UK", "MASTERCARD", "PREPAID"),
        # The card's country is not told: the address says where it is from.
        (Card("amex", "unknown", ""), "US", "AMEX", "UNKNOWN"),
        (Card("", "", "JP"), "APAC", OTHER, OTHER),
    ],
)
def test_a_card_that_has_paid_before_is_known(
    card: Card, region: str, network: str, funding: str
) -> None:
    context = context_of(PAYMENT, known(card), NOW)
    assert (context.region, context.network, context.funding) == (region, network, funding)
    assert scope_of(PAYMENT, known(card)) == (region, network)
    assert scope_of(PAYMENT, None) == ("US", OTHER)


def test_words_without_a_bucket_share_one() -> None:
    buckets = [
        SPACE.buckets(context_of(PAYMENT, known(Card(network, funding, country)), NOW))
        for network, funding, country in (
            ("eftpos_au", "unknown", "AQ"), ("diners", "", "XX"), ("", "credits", "ZZ")
        )
    ]  # fmt: skip
    unknown = SPACE.buckets(context_of(replace(PAYMENT, billing_country="AQ"), NOTHING, NOW))
    assert buckets == [unknown] * 3


@pytest.mark.parametrize(
    ("customer", "card", "risk"),
    [
        (Past(), Past(), OTHER),
        (RATED, Past(), "NORMAL"),
        (Past(), RATED, "NORMAL"),
        (RATED, replace(RATED, elevated_time=NOW - RISK_WINDOW), "ELEVATED"),
        (replace(RATED, elevated_time=NOW - RISK_WINDOW - MICROSECOND), RATED, "NORMAL"),
        (replace(RATED, elevated_time=NOW), replace(RATED, highest_time=NOW), "HIGHEST"),
        (replace(RATED, elevated_time=NOW, highest_time=NOW - 2 * RISK_WINDOW), RATED, "ELEVATED"),
    ],
)
def test_the_highest_risk_of_late_counts(customer: Past, card: Past, risk: str) -> None:
    assert risk_of((customer, card), NOW) == risk
    assert context_of(PAYMENT, PaymentHistory(customer, card), NOW).risk == risk


@pytest.mark.parametrize("bucket", Bucket)
@pytest.mark.parametrize("of_card", [False, True])
def test_velocity_and_declines_are_of_the_customer_or_the_card(
    bucket: Bucket, of_card: bool
) -> None:
    past = Past(Velocity(hour=bucket, day=Bucket.MANY, week=Bucket.MANY), declined=True)
    history = PaymentHistory(card=past) if of_card else PaymentHistory(customer=past)
    context = context_of(PAYMENT, history, NOW)
    assert context.velocity == bucket
    assert context.retry
    assert SPACE.buckets(context)["velocity"] == min(bucket, 2)


@given(text=st.text(min_size=1, max_size=20))
def test_no_text_and_no_name_is_a_feature(text: str) -> None:
    named = replace(
        PAYMENT,
        id=text,
        request_id=text,
        merchant_id=text,
        customer_id=text,
        payment_method=text,
        payment_method_customer=text,
        description=text,
        statement_descriptor_suffix=text,
        return_url=text,
        metadata={text: text},
        card_fingerprint=text,
    )
    history = known(Card("visa", "debit", "DE"))
    assert context_of(named, history, NOW) == context_of(PAYMENT, history, NOW)
