"""What may be charged while compliance cannot be reached: nothing, but what operators let pass."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from compliance.v1 import decision_pb2
from gateway.payments.domain.payment import ComplianceRecord, Payment
from gateway.payments.domain.states import PaymentState
from gateway.payments.domain.unchecked import (
    KNOWN_WITHIN,
    LastVerdicts,
    is_known,
    is_small_enough,
)
from gateway.v1 import payment_pb2
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import euros
from tests.gateway.payments.test_states import new_payment
from tests.gateway.running import OpenShop

NOW = datetime(2026, 11, 29, tzinfo=UTC)
UP_TO = {"EUR": 2_000, "JPY": 300}
MICROSECOND = timedelta(microseconds=1)
V = payment_pb2.ComplianceVerdict
S = payment_pb2.PaymentState


def small(**changes: Any) -> Payment:
    payment = new_payment(currency="EUR", amount_minor=2_000, customer_id="c_1")
    return replace(payment, **changes)


def record(verdict: str) -> ComplianceRecord:
    return ComplianceRecord("dec_1", verdict, (), "2026-11-01T00:00:00Z")


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({}, True),
        ({"amount_minor": 2_001}, False),
        ({"currency": "JPY", "amount_minor": 301}, False),
        ({"currency": "JPY", "amount_minor": 300}, True),
        ({"currency": "USD", "amount_minor": 1}, False),
        ({"customer_id": ""}, False),
        ({"state": PaymentState.QUEUED}, True),
        # Compliance has said something about it: it is asked again.
        ({"state": PaymentState.IN_REVIEW, "compliance": record("REVIEW")}, False),
        ({"state": PaymentState.QUEUED, "compliance": record("REVIEW")}, False),
        ({"state": PaymentState.QUEUED, "compliance": record("ALLOW")}, True),
        ({"state": PaymentState.QUEUED, "compliance": record("UNCHECKED")}, False),
        ({"state": PaymentState.RETRY_SCHEDULED}, False),
    ],
)
def test_small_amounts_that_compliance_has_said_nothing_against(
    changes: dict[str, Any], may: bool
) -> None:
    assert is_small_enough(small(**changes), UP_TO) is may
    assert not is_small_enough(small(**changes), {})


@pytest.mark.parametrize(
    ("last", "known"),
    [
        (LastVerdicts("ALLOW", "ALLOW", NOW - KNOWN_WITHIN), True),
        (LastVerdicts("ALLOW", "ALLOW", NOW - KNOWN_WITHIN - MICROSECOND), False),
        # Others of the merchant's customers have been let through meanwhile; this one was.
        (LastVerdicts("UNCHECKED", "ALLOW", NOW), True),
        (LastVerdicts("UNCHECKED", "UNCHECKED", NOW), False),
        (LastVerdicts("DENY", "ALLOW", NOW), False),
        (LastVerdicts("REVIEW", "ALLOW", NOW), False),
        (LastVerdicts("ALLOW", "REVIEW", NOW), False),
        (LastVerdicts("ALLOW", "", None), False),
        (LastVerdicts(), False),
    ],
)
def test_known_is_whom_compliance_allowed_last(last: LastVerdicts, known: bool) -> None:
    assert is_known(last, NOW) is known


async def test_a_small_payment_of_a_known_customer_passes_once_while_compliance_is_down(
    open_shop: OpenShop, compliance: FakeCompliance
) -> None:
    async with open_shop(unchecked_up_to={"EUR": 2_000}) as shop:
        known: dict[str, Any] = {"customer_id": "c_known", "merchant_id": "m_known"}
        first = await shop.create(amount=euros(1_000), **known)
        assert first.compliance.verdict == V.COMPLIANCE_VERDICT_ALLOW
        await compliance.stop()
        passed = await shop.create(amount=euros(2_000), **known)
        assert passed.state == S.PAYMENT_STATE_SUCCEEDED
        assert passed.compliance.verdict == V.COMPLIANCE_VERDICT_UNCHECKED
        assert passed.compliance.decision_id == ""
        assert (await shop.get(passed.id)).compliance == passed.compliance
        # Not again, no stranger, and nothing larger: all as the request chose.
        strangers: list[dict[str, Any]] = [
            {"amount": euros(1), **known},
            {"amount": euros(1), "customer_id": "c_new", "merchant_id": "m_known"},
            {"amount": euros(1), "customer_id": "", "merchant_id": "m_known"},
        ]
        reasons = []
        for request in strangers:
            queued = await shop.create(
                unavailable_policy=payment_pb2.UNAVAILABLE_POLICY_QUEUE, **request
            )
            assert queued.state == S.PAYMENT_STATE_QUEUED
            reasons.append(queued.queue.reason)
        assert reasons == ["compliance_unavailable", "queue_ahead", "queue_ahead"]


async def test_a_customer_who_does_not_wait_for_people(
    open_shop: OpenShop, compliance: FakeCompliance
) -> None:
    compliance.verdict = decision_pb2.VERDICT_REVIEW
    async with open_shop() as shop:
        ended = await shop.create(fail_in_review=True)
        assert (ended.state, ended.fail_in_review) == (S.PAYMENT_STATE_BLOCKED, True)
        assert ended.compliance.verdict == V.COMPLIANCE_VERDICT_REVIEW
        waits = await shop.create()
        assert (waits.state, waits.fail_in_review) == (S.PAYMENT_STATE_IN_REVIEW, False)
    assert [request.does_not_wait for request in compliance.requests] == [True, False]
