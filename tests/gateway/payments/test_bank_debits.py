"""Bank debits: what is sent for them, and their way from PROCESSING to how the bank decides."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.payments.domain.failover import next_route
from gateway.payments.domain.payment_methods import (
    BANK_DEBITS,
    MandateAcceptance,
    PaymentMethodType,
)
from gateway.payments.domain.reconcile import Timing
from gateway.payments.domain.refund_outcome import takes_back_debit
from gateway.payments.domain.states import PaymentState as State
from gateway.payments.domain.stripe_params import authorize_params
from gateway.recovery.rules import lost_payment
from gateway.v1 import payment_pb2 as pb
from gateway.v1.payment_service_pb2 import CreatePaymentRequest
from gateway.validation import VALIDATOR
from money.v1.money_pb2 import Money
from runtime.clock import ManualClock
from sandbox.polling import poll
from sandbox.stripe_twin.overrides import CardOverride, override_card
from sandbox.stripe_twin.payment_methods import new_payment_method
from sandbox.stripe_twin.test_accounts import ACCOUNTS_BY_TOKEN, CURRENCIES
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.cards import saved_card
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import RefusedError, Shop
from tests.gateway.payments.test_commanding import in_state
from tests.gateway.running import OpenShop

ACH = pb.PAYMENT_METHOD_TYPE_US_BANK_ACCOUNT
SEPA = pb.PAYMENT_METHOD_TYPE_SEPA_DEBIT
ONLINE = pb.MandateAcceptance(
    ip_address="203.0.113.7", user_agent="Firefox", accept_time=Timestamp(seconds=1_790_000_000)
)
DECIDED = timedelta(days=4).total_seconds()


def dollars(minor_units: int) -> Money:
    return Money(currency_code="USD", minor_units=minor_units)


async def begin(shop: Shop, account: str = "success", **fields: Any) -> pb.Payment:
    method = pb.PaymentMethod(token=f"pm_usBankAccount_{account}", type=ACH)
    given = {
        "payment_method": method,
        "amount": dollars(10_000),
        "mandate_acceptance": ONLINE,
        **fields,
    }
    payment = await shop.create(**given)
    assert payment.state == pb.PAYMENT_STATE_PROCESSING
    assert payment.payment_intent_id
    return payment


def kinds(payment: pb.Payment) -> list[str]:
    # What the sweep has seen by chance by then has tests beside the sweep's.
    facts = [fact.kind for fact in payment.booking.facts]
    return [kind for kind in facts if not kind.startswith("debit_")]


def test_the_contract_the_rules_and_the_twin_know_the_same_types() -> None:
    names = {name.removeprefix("PAYMENT_METHOD_TYPE_") for name, _ in pb.PaymentMethodType.items()}
    assert names == {*PaymentMethodType, "UNSPECIFIED"}
    assert set(BANK_DEBITS) == set(PaymentMethodType) - {PaymentMethodType.CARD}
    currencies = {
        kind.at_stripe: tuple(currency.lower() for currency in debit.currencies)
        for kind, debit in BANK_DEBITS.items()
    }
    assert currencies == CURRENCIES
    assert {account.kind for account in ACCOUNTS_BY_TOKEN.values()} == set(CURRENCIES)
    assert all(debit.source.startswith("https://") for debit in BANK_DEBITS.values())


def problems_of(**fields: Any) -> set[str]:
    """The fields of a request that the rules find fault with."""
    given = {
        "request_id": "r",
        "merchant_id": "m",
        "amount": dollars(1),
        "payment_method": pb.PaymentMethod(token="pm_1", stripe_customer_id="cus_1"),
        **fields,
    }
    return {found.field for found in VALIDATOR.violations(CreatePaymentRequest(**given))}


@pytest.mark.parametrize("kind", BANK_DEBITS)
def test_each_is_taken_in_its_currencies_alone(kind: PaymentMethodType) -> None:
    number = pb.PaymentMethodType.Value(f"PAYMENT_METHOD_TYPE_{kind}")
    method = pb.PaymentMethod(token="pm_1", stripe_customer_id="cus_1", type=number)
    for currency in ("USD", "EUR", "GBP", "AUD", "CAD", "CHF", "JPY"):
        amount = Money(currency_code=currency, minor_units=99_999_999)
        taken = not problems_of(payment_method=method, amount=amount)
        assert taken == (currency in BANK_DEBITS[kind].currencies), currency


def test_what_is_sent_for_a_card_has_nothing_of_a_mandate() -> None:
    params = authorize_params(in_state(State.AUTHORIZING))
    assert params["allowed_payment_method_types"] == ["card"]
    assert "mandate_data" not in params


@pytest.mark.parametrize(
    ("acceptance", "sent"),
    [
        (MandateAcceptance(), {"type": "offline", "offline": {}}),
        (
            MandateAcceptance("203.0.113.7", "Firefox", 17),
            {
                "type": "online",
                "online": {"ip_address": "203.0.113.7", "user_agent": "Firefox"},
                "accepted_at": 17,
            },
        ),
    ],
)
def test_what_is_sent_for_a_debit(acceptance: MandateAcceptance, sent: dict[str, Any]) -> None:
    debit = in_state(
        State.AUTHORIZING,
        payment_method_type=PaymentMethodType.SEPA_DEBIT,
        mandate_acceptance=acceptance,
    )
    params = authorize_params(debit)
    assert params["allowed_payment_method_types"] == ["sepa_debit"]
    assert params["mandate_data"] == {"customer_acceptance": sent}


def test_a_debit_never_leaves_its_corridor() -> None:
    class Anywhere:
        def next_route(self, *_: Any) -> Any:
            raise AssertionError("nobody asks for another corridor")

    debit = in_state(State.AUTHORIZING, payment_method_type=PaymentMethodType.SEPA_DEBIT)
    assert next_route(debit, Anywhere()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", PaymentMethodType)
def test_a_payment_that_is_rebuilt_has_its_type(kind: PaymentMethodType) -> None:
    intent = {
        "id": "pi_1",
        "created": 1_790_000_000,
        "amount": 100,
        "currency": "usd",
        "payment_method": "pm_1",
        "allowed_payment_method_types": [kind.at_stripe],
        "metadata": {
            "engine_payment_id": "pay_1",
            "engine_request_id": "r",
            "engine_fingerprint": "f",
            "engine_deployment": "d",
        },
    }
    lost = lost_payment(intent, "default")
    assert lost is not None
    assert lost.payment_method_type is kind
    bare = lost_payment({**intent, "allowed_payment_method_types": None}, "default")
    assert bare is not None
    assert bare.payment_method_type is PaymentMethodType.CARD


async def test_it_is_answered_at_once_and_booked_when_the_bank_has_paid(
    shop: Shop, twin: Twin, compliance: FakeCompliance
) -> None:
    payment = await begin(shop, request_id="once")
    assert payment.payment_method.type == ACH
    assert compliance.requests[-1].payment_method_type == "us_bank_account"
    assert ONLINE.ip_address not in str(payment)
    assert (await begin(shop, request_id="once")).id == payment.id
    with pytest.raises(RefusedError) as refused:
        await begin(shop, request_id="once", mandate_acceptance=pb.MandateAcceptance())
    assert refused.value.error.reason == "REQUEST_ID_REUSED"
    assert kinds(payment) == ["hold_placed"]
    twin.advance(seconds=DECIDED)
    await shop.watch_for(payment.id, "fee_known")
    payment = await shop.get(payment.id)
    assert payment.state == pb.PAYMENT_STATE_SUCCEEDED
    assert payment.fee == dollars(80)
    assert kinds(payment) == ["hold_placed", "captured", "fee_charged"]
    [charge] = twin.books()["default"]["charges"]
    assert (charge["id"], charge["status"]) == (payment.charge_id, "succeeded")


@pytest.mark.parametrize(
    ("account", "code"),
    [("insufficientFunds", "insufficient_funds"), ("accountClosed", "account_closed")],
)
async def test_one_that_the_bank_refuses_is_declined_with_stripes_code(
    shop: Shop, twin: Twin, account: str, code: str
) -> None:
    payment = await begin(shop, account)
    twin.advance(seconds=DECIDED)
    await shop.watch_until(payment.id, pb.PAYMENT_STATE_DECLINED)
    payment = await shop.get(payment.id)
    assert payment.decline.code == code
    assert kinds(payment) == ["hold_placed", "hold_released"]


async def test_its_movement_before_the_decision_is_news_that_nobody_waits_for(
    shop: Shop, twin: Twin, database_url: str
) -> None:
    """`charge.updated` names a balance transaction while the charge is pending."""
    await begin(shop, "processing")

    async def told() -> list[tuple[str, str | None]]:
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            rows = await connection.execute(
                "SELECT state, last_failure FROM webhook_event WHERE event_type = 'charge.updated'"
            )
            return await rows.fetchall()

    assert await poll(told, lambda rows: bool(rows) and rows[0][0] != "PENDING") == [("DONE", None)]


async def test_it_is_canceled_where_stripe_allows_that(shop: Shop, twin: Twin) -> None:
    payment = await shop.cancel(await begin(shop, "processing"))
    assert payment.state == pb.PAYMENT_STATE_CANCELED
    assert kinds(payment) == ["hold_placed", "hold_released"]
    twin.settings.processing_cancelable = False
    refused = await shop.cancel(await begin(shop, "processing"))
    assert refused.state == pb.PAYMENT_STATE_PROCESSING
    assert refused.operations[-1].failure.stripe_code == "payment_intent_unexpected_state"


async def test_what_a_bank_returns_is_a_lost_dispute(shop: Shop, twin: Twin) -> None:
    payment = await begin(shop, "dispute")
    twin.advance(seconds=DECIDED)
    await shop.watch_for(payment.id, "dispute_closed")
    payment = await shop.get(payment.id)
    assert payment.state == pb.PAYMENT_STATE_SUCCEEDED
    assert payment.amount_disputed == dollars(10_000)
    with pytest.raises(RefusedError) as refused:
        await shop.refund(payment)
    assert refused.value.error.reason == "PAYMENT_DISPUTED"


async def test_one_that_the_scheme_lets_us_send_again_is_charged_once(
    open_shop: OpenShop, twin: Twin
) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with open_shop(clock) as shop:
        paid = await begin(shop, payment_method=await saved_account(twin), save_payment_method=True)
        twin.advance(seconds=DECIDED)
        await shop.watch_until(paid.id, pb.PAYMENT_STATE_SUCCEEDED)
        account = pb.PaymentMethod(
            token=twin.books()["default"]["payment_intents"][0]["payment_method"],
            stripe_customer_id=paid.payment_method.stripe_customer_id,
            type=ACH,
        )
        bank_says(twin, account.token, "insufficient_funds")
        retry = pb.DeclineRetry(max_attempts=5)
        retry.window.FromTimedelta(timedelta(days=30))
        payment = await begin(
            shop,
            payment_method=account,
            mandate_acceptance=None,
            off_session=True,
            decline_retry=retry,
        )
        twin.advance(seconds=DECIDED)
        await shop.watch_until(payment.id, pb.PAYMENT_STATE_RETRY_SCHEDULED)
        bank_says(twin, account.token, None)
        wait = timedelta(hours=72)
        clock.advance(wait)
        twin.settings.signature_skew_seconds = wait.total_seconds()
        await shop.watch_for(payment.id, "retry_started")
        await poll(lambda: shop.get(payment.id), is_processing)
        twin.advance(seconds=DECIDED)
        await shop.watch_until(payment.id, pb.PAYMENT_STATE_SUCCEEDED)
    charges = [
        (charge["status"], charge["payment_intent"] == payment.payment_intent_id)
        for charge in twin.books()["default"]["charges"]
    ]
    assert sorted(charges) == [("failed", True), ("succeeded", False), ("succeeded", True)]


async def test_its_holder_has_days_to_verify_an_account(open_shop: OpenShop, twin: Twin) -> None:
    account = new_payment_method(
        twin.account(),
        {
            "type": "us_bank_account",
            "us_bank_account": {"account_number": "000123456789"},
            "billing_details": {"name": "Ada Mapleton"},
        },
    )
    twin.account().objects("payment_method").add(account)
    clock = ManualClock(datetime.now(UTC))
    async with open_shop(clock) as shop:
        payment = await shop.create(
            payment_method=pb.PaymentMethod(token=account["id"], type=ACH),
            amount=dollars(10_000),
            mandate_acceptance=ONLINE,
        )
        assert payment.state == pb.PAYMENT_STATE_REQUIRES_ACTION
        assert payment.next_action.redirect_url.endswith(payment.payment_intent_id)
        late = Timing().verification - timedelta(hours=1)
        clock.advance(late)
        twin.settings.signature_skew_seconds = late.total_seconds()
        twin.complete_authentication(payment.payment_intent_id)
        await shop.watch_until(payment.id, pb.PAYMENT_STATE_PROCESSING)


async def saved_account(twin: Twin) -> pb.PaymentMethod:
    """A bank account for a new customer to accept the mandate of."""
    customer = (await saved_card(twin, "visa")).stripe_customer_id
    return pb.PaymentMethod(token="pm_usBankAccount_success", stripe_customer_id=customer, type=ACH)


def bank_says(twin: Twin, method: str, failure: str | None) -> None:
    override_card(
        twin.account(),
        twin.account().objects("payment_method").get(method),
        CardOverride(decline=failure),
    )


def is_processing(payment: pb.Payment) -> bool:
    return payment.state == pb.PAYMENT_STATE_PROCESSING


async def test_a_token_of_another_kind_is_refused_by_stripe(shop: Shop) -> None:
    payment = await shop.create(
        payment_method=pb.PaymentMethod(token="pm_card_visa", type=SEPA),
        mandate_acceptance=pb.MandateAcceptance(),
    )
    assert payment.state == pb.PAYMENT_STATE_FAILED
    assert (payment.failure.code, payment.failure.stripe_param) == (
        "stripe_rejected",
        "payment_method",
    )


@pytest.mark.parametrize(
    ("state", "charge", "metadata", "taken_back"),
    [
        # It may have been paid, though we do not know yet.
        (State.PROCESSING, "py_1", {}, False),
        (State.CANCELED, "py_1", {}, True),
        (State.DECLINED, "py_1", {}, True),
        # An attempt before the one that was paid.
        (State.SUCCEEDED, "py_0", {}, True),
        (State.PROCESSING, "py_0", {}, True),
        (State.SUCCEEDED, "py_1", {}, False),
        (State.SUCCEEDED, None, {}, False),
        (State.DECLINED, "py_1", {"engine_refund_id": "ref_1"}, False),
    ],
)
def test_what_stripe_takes_back_of_a_refused_debit_is_no_refund_of_the_payment(
    state: State, charge: str | None, metadata: dict[str, str], taken_back: bool
) -> None:
    refund = {"id": "pyr_1", "charge": charge, "metadata": metadata}
    debit = in_state(state, payment_method_type=PaymentMethodType.US_BANK_ACCOUNT, charge_id="py_1")
    assert takes_back_debit(debit, refund) is taken_back
    assert not takes_back_debit(in_state(state, charge_id="py_1"), refund)
