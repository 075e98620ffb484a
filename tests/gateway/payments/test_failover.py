"""Two Stripe accounts: what one does not take goes to the other, exactly once, or not at all."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from compliance.v1.decision_pb2 import Verdict
from gateway.v1.corridor_pb2 import CorridorMode
from gateway.v1.payment_pb2 import (
    CorridorAlternative,
    Payment,
    PaymentMethod,
    PaymentMethodType,
    PaymentState,
    UnavailablePolicy,
)
from sandbox.stripe_twin.accounts import DEFAULT_ACCOUNT
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import RefusedError, Shop, fresh
from tests.gateway.running import OpenShop

S = PaymentState
HOME = DEFAULT_ACCOUNT.account_id
QUEUE = UnavailablePolicy.UNAVAILABLE_POLICY_QUEUE
BACKUP = CorridorAlternative(
    corridor="backup",
    payment_method=PaymentMethod(
        token="pm_card_mastercard", type=PaymentMethodType.PAYMENT_METHOD_TYPE_CARD
    ),
)
SHARED = {"failover_to": ["backup"], "shared_tokens_with": ["backup"]}
TwoAccounts = Callable[..., AbstractAsyncContextManager[Shop]]


@pytest.fixture
def two_accounts(open_shop: OpenShop, twin: Twin, tmp_path: Path) -> TwoAccounts:
    """A gateway with the corridors `default` and `backup`, as the test declares them."""

    @asynccontextmanager
    async def opened(
        default: dict[str, Any], backup: dict[str, Any] | None = None, **settings: Any
    ) -> AsyncIterator[Shop]:
        file = tmp_path / "corridors.json"
        declared = []
        for name, values in (("default", default), ("backup", backup or {})):
            account = twin.account(name)
            declared.append(
                {
                    "name": name,
                    "api_key": account.secret_key,
                    "api_base": twin.url,
                    "webhook_secrets": [account.webhook_secret],
                    **values,
                }
            )
        file.write_text(json.dumps(declared), encoding="utf-8")
        async with open_shop(stripe_corridors_file=file, call_seconds=3.0, **settings) as shop:
            yield shop

    return opened


def charges(twin: Twin, account: str) -> int:
    return len(twin.books()[account]["charges"])


def failovers(to: str) -> float:
    """How many decisions led out of the closed corridor to `to`, as operators see it."""
    labels = {"corridor": "default", "to": to, "reason": "CORRIDOR_CLOSED"}
    return REGISTRY.get_sample_value("gateway_payment_failovers_total", labels) or 0.0


async def transitions(shop: Shop, payment: Payment) -> list[str]:
    seen = await shop.watch_until(payment.id, payment.state)
    return [event.transition for event in seen]


async def test_a_shared_token_is_charged_through_the_other_account(
    two_accounts: TwoAccounts, twin: Twin, compliance: FakeCompliance
) -> None:
    async with two_accounts(SHARED) as shop:
        await shop.close_corridor()
        payment = await shop.create()
        assert payment.state == S.PAYMENT_STATE_SUCCEEDED
        assert payment.corridor == "backup"
        assert [(left.corridor, left.reason) for left in payment.failovers] == [
            ("default", "CORRIDOR_CLOSED")
        ]
        assert await transitions(shop, payment) == [
            "received",
            "compliance_allowed",
            "authorization_started",
            "failed_over",
            "compliance_allowed",
            "authorization_started",
            "captured",
        ]
        # The hold at the account that was left is released there, and another one placed here.
        assert [fact.kind for fact in payment.booking.facts][:3] == [
            "hold_placed",
            "hold_released",
            "hold_placed",
        ]
        refund = await shop.refund(payment)
        assert refund.payment.amount_refunded == payment.amount
    assert [asked.corridor for asked in compliance.requests] == ["default", "backup"]
    assert (charges(twin, "default"), charges(twin, "backup")) == (0, 1)


async def test_the_clients_alternative_is_charged_with_its_own_token(
    two_accounts: TwoAccounts, twin: Twin
) -> None:
    before = failovers("backup")
    async with two_accounts({"failover_to": ["backup"]}) as shop:
        await shop.close_corridor()
        payment = await shop.create(alternatives=[BACKUP])
        assert failovers("backup") == before + 1
        assert payment.state == S.PAYMENT_STATE_SUCCEEDED
        assert payment.payment_method.token == "pm_card_mastercard"
        assert list(payment.alternatives) == [BACKUP]
    assert (charges(twin, "default"), charges(twin, "backup")) == (0, 1)


async def test_a_browned_out_account_hands_over_and_nobody_pays_twice(
    two_accounts: TwoAccounts, twin: Twin
) -> None:
    sick = {
        **SHARED,
        "request_timeout_seconds": 0.5,
        "breaker": {"min_calls": 3, "slow_seconds": 0.2, "open_seconds": 60.0},
    }
    async with two_accounts(sick) as shop:
        slow = twin.add_fault(kind="latency", seconds=0.3, account=HOME)
        payments = [await shop.create(unavailable_policy=QUEUE) for _ in range(6)]
        assert {payment.state for payment in payments} == {S.PAYMENT_STATE_SUCCEEDED}
        twin.faults.clear(slow)
        used = [payment.corridor for payment in payments]
        # What webhooks have us read counts, too, so the breaker opens within three payments.
        at_home = used.count("default")
        assert 1 <= at_home <= 3
        assert used == ["default"] * at_home + ["backup"] * (6 - at_home)
        assert payments[-1].failovers[0].reason == "BREAKER_OPEN"
    assert (charges(twin, "default"), charges(twin, "backup")) == (at_home, 6 - at_home)


async def test_what_may_have_been_charged_never_goes_elsewhere(
    two_accounts: TwoAccounts, twin: Twin
) -> None:
    async with two_accounts(SHARED, webhooks=False, answer_seconds=1.0) as shop:
        # Stripe acts and its answer is lost; the resend finds the corridor closed.
        twin.add_fault(
            kind="reset", when="after", account=HOME, method="POST", path="/v1/payment_intents"
        )
        payment = await shop.create()
        assert payment.state == S.PAYMENT_STATE_AUTHORIZING
        await shop.close_corridor()
        twin.faults.clear()
        again = await shop.create(request_id=payment.request_id)
        assert (again.state, again.corridor) == (S.PAYMENT_STATE_AUTHORIZING, "default")
        await shop.open_corridor()
        await shop.watch_until(payment.id, S.PAYMENT_STATE_SUCCEEDED)
        assert not (await shop.get(payment.id)).failovers
    assert (charges(twin, "default"), charges(twin, "backup")) == (1, 0)


@pytest.mark.parametrize(
    ("default", "fields"),
    [
        ({"failover_to": ["backup"]}, {}),
        (SHARED, {"stay_in_corridor": True}),
        ({"shared_tokens_with": ["backup"]}, {"alternatives": [BACKUP]}),
    ],
    ids=["token not usable there", "client forbids it", "not declared"],
)
async def test_without_leave_nothing_goes_elsewhere(
    two_accounts: TwoAccounts, twin: Twin, default: dict[str, Any], fields: dict[str, Any]
) -> None:
    async with two_accounts(default) as shop:
        await shop.close_corridor()
        payment = await shop.create(unavailable_policy=QUEUE, **fields)
        assert payment.state == S.PAYMENT_STATE_QUEUED
        assert (payment.corridor, len(payment.failovers)) == ("default", 0)
    assert charges(twin, "backup") == 0


@pytest.mark.parametrize(
    "mode", [CorridorMode.CORRIDOR_MODE_DRAIN, CorridorMode.CORRIDOR_MODE_CLOSED]
)
async def test_a_corridor_that_operators_took_away_is_not_gone_to(
    two_accounts: TwoAccounts, twin: Twin, mode: "CorridorMode.ValueType"
) -> None:
    before = failovers("")
    async with two_accounts(SHARED) as shop:
        await shop.close_corridor()
        await shop.set_mode("backup", mode)
        assert (await shop.create(unavailable_policy=QUEUE)).state == S.PAYMENT_STATE_QUEUED
    assert failovers("") == before + 1
    assert (charges(twin, "default"), charges(twin, "backup")) == (0, 0)


@pytest.mark.parametrize("verdict", [Verdict.VERDICT_DENY, Verdict.VERDICT_REVIEW])
async def test_an_account_that_compliance_does_not_allow_is_left_again(
    two_accounts: TwoAccounts, twin: Twin, compliance: FakeCompliance, verdict: "Verdict.ValueType"
) -> None:
    compliance.verdicts["backup"] = verdict
    async with two_accounts(SHARED) as shop:
        await shop.close_corridor()
        waiting = await shop.create(unavailable_policy=QUEUE)
        assert (waiting.state, waiting.corridor) == (S.PAYMENT_STATE_QUEUED, "default")
        assert [(left.corridor, left.reason) for left in waiting.failovers] == [
            ("default", "CORRIDOR_CLOSED"),
            ("backup", Verdict.Name(verdict).replace("VERDICT", "COMPLIANCE")),
        ]
        with pytest.raises(RefusedError) as refused:
            await shop.create()
        assert refused.value.error.reason == "CORRIDOR_UNAVAILABLE"
        assert refused.value.error.metadata["not_sent_reason"] == "CORRIDOR_CLOSED"
        assert refused.value.error.metadata["corridor"] == "default"
        await shop.open_corridor()
        await shop.watch_until(waiting.id, S.PAYMENT_STATE_SUCCEEDED)
    assert (charges(twin, "default"), charges(twin, "backup")) == (1, 0)


async def test_a_refused_key_is_the_accounts_fault_and_not_the_payments(
    two_accounts: TwoAccounts, twin: Twin
) -> None:
    async with two_accounts({**SHARED, "api_key": "sk_test_revoked"}) as shop:
        payment = await shop.create()
        assert (payment.state, payment.corridor) == (S.PAYMENT_STATE_SUCCEEDED, "backup")
        assert payment.failovers[0].reason == "ACCOUNT_REFUSED"
    assert charges(twin, "backup") == 1


async def test_a_repeated_request_starts_at_home_again(
    two_accounts: TwoAccounts, twin: Twin
) -> None:
    request_id = fresh()
    async with two_accounts(SHARED) as shop:
        await shop.close_corridor()
        await shop.set_mode("backup", CorridorMode.CORRIDOR_MODE_CLOSED)
        with pytest.raises(RefusedError):
            await shop.create(request_id=request_id)
        await shop.open_corridor()
        payment = await shop.create(request_id=request_id)
        assert (payment.state, payment.corridor) == (S.PAYMENT_STATE_SUCCEEDED, "default")
    assert (charges(twin, "default"), charges(twin, "backup")) == (1, 0)


async def test_a_corridor_that_does_not_take_it_is_refused_by_field(
    two_accounts: TwoAccounts, twin: Twin
) -> None:
    async with two_accounts({"currencies": ["USD"]}, {"countries": ["DE"]}) as shop:
        asked: list[dict[str, Any]] = [
            {},
            {"corridor": "backup"},
            {"corridor": "backup", "billing_country_code": "AT"},
        ]
        for fields in asked:
            with pytest.raises(RefusedError) as refused:
                await shop.create(**fields)
            assert [v.field for v in refused.value.error.violations] == ["corridor"]
        payment = await shop.create(corridor="backup", billing_country_code="DE")
        assert payment.state == S.PAYMENT_STATE_SUCCEEDED
    assert (charges(twin, "default"), charges(twin, "backup")) == (0, 1)


async def test_an_alternative_that_is_not_there_is_refused(two_accounts: TwoAccounts) -> None:
    async with two_accounts(SHARED) as shop:
        nowhere = CorridorAlternative(corridor="mars", payment_method=PaymentMethod(token="pm_1"))
        with pytest.raises(RefusedError) as refused:
            await shop.create(alternatives=[nowhere])
        assert refused.value.error.reason == "CORRIDOR_NOT_FOUND"
        assert refused.value.error.metadata["corridor"] == "mars"
