"""The Stripe client against the Stripe twin: what keys promise, whatever gets lost."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.stripe_client.call import RetryPolicy
from gateway.stripe_client.calls import StripeCalls
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.corridor_client import CorridorClient
from gateway.stripe_client.corridors import Corridor
from gateway.stripe_client.outcome import NotSentReason, Outcome, OutcomeClass
from runtime.backoff import Backoff
from sandbox.stripe_twin.twin import Twin
from tests.gateway.stripe_client.conftest import Modes

NO_WAIT = RetryPolicy(
    max_attempts=3, backoff=Backoff(timedelta(milliseconds=1), timedelta(milliseconds=1))
)
CHARGE: dict[str, Any] = {
    "amount": 1000,
    "currency": "eur",
    "confirm": True,
    "payment_method": "pm_card_visa",
    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    "metadata": {"operation_id": "op_1"},
}


@pytest.fixture
async def stripe_client(twin: Twin) -> AsyncIterator[StripeClient]:
    clients = {
        name: CorridorClient(
            Corridor(
                name=name,
                api_key=SecretStr(twin.account(name).secret_key),
                api_base=twin.url,
                webhook_secrets=(SecretStr("whsec_bench"),),
            ),
            lambda: 0.0,
        )
        for name in ("default", "backup")
    }
    yield StripeClient(StripeCalls(clients, "default", Modes(), retry=NO_WAIT))
    for client in clients.values():
        await client.close()


def charges(twin: Twin, account: str = "default") -> int:
    return len(list(twin.account(account).objects("charge")))


FAULTS: list[dict[str, Any]] = [
    {"kind": kind, "when": when, **more}
    for kind, more in (("reset", {}), ("error", {}), ("error", {"status": 503}))
    for when in ("before", "after")
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_a_lost_answer_is_found_again_under_its_key(
    stripe_client: StripeClient, twin: Twin, fault: dict[str, Any]
) -> None:
    twin.add_fault(method="POST", path="/v1/payment_intents", count=1, **fault)
    outcome = await stripe_client.create_payment_intent("default", CHARGE, "key-1")
    assert outcome.succeeded
    assert outcome.attempts == 2
    assert charges(twin) == 1


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_an_unknown_is_settled_by_the_same_key_later(
    stripe_client: StripeClient, twin: Twin, fault: dict[str, Any]
) -> None:
    twin.add_fault(method="POST", path="/v1/payment_intents", count=3, **fault)
    outcome = await stripe_client.create_payment_intent("default", CHARGE, "key-1")
    assert outcome.outcome_class is OutcomeClass.UNKNOWN
    settled = await stripe_client.create_payment_intent("default", CHARGE, "key-1", resend=True)
    assert settled.succeeded
    assert charges(twin) == 1


async def test_a_stored_5xx_is_never_taken_for_nothing(
    stripe_client: StripeClient, twin: Twin
) -> None:
    twin.add_fault(
        kind="error", when="after", stored=True, path="/v1/payment_intents", method="POST", count=1
    )
    outcome = await stripe_client.create_payment_intent("default", CHARGE, "key-1")
    assert outcome.outcome_class is OutcomeClass.UNKNOWN
    now = datetime.now(UTC)
    found = await stripe_client.find_payment_intents(
        "default",
        {"operation_id": "op_1"},
        created_from=now - timedelta(hours=1),
        created_to=now + timedelta(hours=1),
    )
    assert found.object is not None
    assert found.object["complete"] is True
    assert [intent["status"] for intent in found.object["data"]] == ["succeeded"]


async def test_a_decline_repeats_under_its_key(stripe_client: StripeClient, twin: Twin) -> None:
    declined = {**CHARGE, "payment_method": "pm_card_chargeDeclinedInsufficientFunds"}
    first = await stripe_client.create_payment_intent("default", declined, "key-1")
    again = await stripe_client.create_payment_intent("default", declined, "key-1")
    assert first.outcome_class is again.outcome_class is OutcomeClass.DECLINED
    assert first.failure is not None
    assert again.failure is not None
    assert first.failure.decline_code == "insufficient_funds"
    assert first.failure.payment_intent is not None
    assert again.failure.payment_intent is not None
    assert first.failure.payment_intent["id"] == again.failure.payment_intent["id"]


async def test_the_same_key_for_other_bytes_proves_nothing(
    stripe_client: StripeClient, twin: Twin
) -> None:
    await stripe_client.create_payment_intent("default", CHARGE, "key-1")
    other = await stripe_client.create_payment_intent(
        "default", {**CHARGE, "amount": 2000}, "key-1"
    )
    assert other.outcome_class is OutcomeClass.UNKNOWN
    assert other.failure is not None
    assert other.failure.type == "idempotency_error"
    assert charges(twin) == 1


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("rate_limit", NotSentReason.RATE_LIMITED), ("lock_timeout", NotSentReason.OBJECT_LOCKED)],
)
async def test_429_is_no_answer_to_the_key(
    stripe_client: StripeClient, twin: Twin, kind: str, reason: NotSentReason
) -> None:
    twin.add_fault(kind=kind, method="POST", path="/v1/payment_intents", count=3)
    outcome = await stripe_client.create_payment_intent("default", CHARGE, "key-1")
    assert outcome.not_sent_reason is reason
    assert (await stripe_client.create_payment_intent("default", CHARGE, "key-1")).succeeded
    assert charges(twin) == 1


async def test_corridors_are_accounts_of_their_own(stripe_client: StripeClient, twin: Twin) -> None:
    made = await stripe_client.create_payment_intent("backup", CHARGE, "key-1")
    assert made.object is not None
    assert (charges(twin), charges(twin, "backup")) == (0, 1)
    elsewhere = await stripe_client.retrieve_payment_intent("default", made.object["id"])
    assert elsewhere.outcome_class is OutcomeClass.REJECTED
    assert elsewhere.failure is not None
    assert elsewhere.failure.code == "resource_missing"


async def test_a_payment_from_hold_to_refund(stripe_client: StripeClient) -> None:
    manual = {**CHARGE, "capture_method": "manual"}
    held = _object(await stripe_client.create_payment_intent("default", manual, "key-1"))
    assert held["status"] == "requires_capture"
    captured = _object(
        await stripe_client.capture_payment_intent(
            "default", held["id"], {"amount_to_capture": 600}, "key-2"
        )
    )
    assert (captured["status"], captured["amount_received"]) == ("succeeded", 600)
    charge = _object(
        await stripe_client.retrieve_charge(
            "default", captured["latest_charge"], {"expand": ["balance_transaction"]}
        )
    )
    assert charge["balance_transaction"]["fee"] > 0
    assert (
        _object(
            await stripe_client.records.retrieve_balance_transaction(
                "default", charge["balance_transaction"]["id"]
            )
        )["net"]
        == 600 - charge["balance_transaction"]["fee"]
    )
    refund = _object(
        await stripe_client.create_refund(
            "default", {"payment_intent": held["id"], "amount": 100}, "key-3"
        )
    )
    assert _object(await stripe_client.retrieve_refund("default", refund["id"]))["amount"] == 100
    listed = _object(await stripe_client.list_refunds("default", {"payment_intent": held["id"]}))
    assert [item["id"] for item in listed["data"]] == [refund["id"]]
    assert _object(await stripe_client.records.retrieve_balance("default"))["object"] == "balance"
    moved = _object(await stripe_client.records.list_balance_transactions("default", {"limit": 10}))
    assert {item["type"] for item in moved["data"]} >= {"charge", "refund"}
    happened = _object(await stripe_client.records.list_events("default", {"limit": 100}))
    assert "payment_intent.succeeded" in {item["type"] for item in happened["data"]}


async def test_a_hold_is_given_up(stripe_client: StripeClient) -> None:
    manual = {**CHARGE, "capture_method": "manual"}
    held = _object(await stripe_client.create_payment_intent("default", manual, "key-1"))
    canceled = _object(
        await stripe_client.cancel_payment_intent("default", held["id"], {}, "key-2")
    )
    assert canceled["status"] == "canceled"
    refused = await stripe_client.capture_payment_intent("default", held["id"], {}, "key-3")
    assert refused.outcome_class is OutcomeClass.REJECTED
    assert refused.failure is not None
    assert refused.failure.code == "payment_intent_unexpected_state"
    assert refused.failure.payment_intent is not None
    assert refused.failure.payment_intent["status"] == "canceled"


async def test_3d_secure_asks_and_goes_on(stripe_client: StripeClient, twin: Twin) -> None:
    secure = {
        **CHARGE,
        "automatic_payment_methods": {"enabled": True},
        "payment_method": "pm_card_threeDSecure2Required",
        "return_url": "https://shop.example/done",
    }
    asked = _object(await stripe_client.create_payment_intent("default", secure, "key-1"))
    assert asked["status"] == "requires_action"
    twin.complete_authentication(asked["id"])
    done = _object(await stripe_client.retrieve_payment_intent("default", asked["id"]))
    assert done["status"] == "succeeded"


async def test_missing_objects_are_rejected(stripe_client: StripeClient) -> None:
    reads: list[Callable[[], Awaitable[Outcome]]] = [
        lambda: stripe_client.retrieve_payment_intent("default", "pi_nobody"),
        lambda: stripe_client.retrieve_charge("default", "ch_nobody"),
        lambda: stripe_client.retrieve_refund("default", "re_nobody"),
        lambda: stripe_client.records.retrieve_balance_transaction("default", "txn_nobody"),
        lambda: stripe_client.records.retrieve_dispute("default", "dp_nobody"),
        lambda: stripe_client.records.retrieve_payout("default", "po_nobody"),
    ]
    for read in reads:
        outcome = await read()
        assert outcome.outcome_class is OutcomeClass.REJECTED
        assert outcome.failure is not None
        assert outcome.failure.http_status == 404


def _object(outcome: Outcome) -> dict[str, Any]:
    assert outcome.succeeded, outcome
    assert outcome.object is not None
    return outcome.object
