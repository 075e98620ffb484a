"""The fail matrix of docs/compliance.md, line by line, over real parts."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import psycopg

from compliance.v1 import (
    compliance_service_pb2,
    decision_pb2,
    subject_pb2,
)
from money.v1.money_pb2 import Money
from sandbox.polling import poll
from tests.compliance.conftest import OpenGuard
from tests.compliance.guard import Guard, codes, failure, unique, verdict
from tests.compliance.test_payment_outcomes import draft_of
from tests.compliance.test_policy_versions import activate


def evidence(decision: decision_pb2.Decision) -> dict[str, str]:
    """State by kind."""
    return {
        decision_pb2.EvidenceKind.Name(piece.kind).removeprefix(
            "EVIDENCE_KIND_"
        ): decision_pb2.EvidenceState.Name(piece.state).removeprefix("EVIDENCE_STATE_")
        for piece in decision.evidence
    }


async def test_unknown_merchant(guard: Guard) -> None:
    decision = await guard.check("nobody")
    assert (verdict(decision), codes(decision)) == ("REVIEW", ["MERCHANT_UNKNOWN"])
    assert evidence(decision)["MERCHANT"] == "MISSING"


async def test_a_customer_is_no_merchant(guard: Guard) -> None:
    customer = await guard.customer()
    decision = await guard.check(customer)
    assert "MERCHANT_UNKNOWN" in codes(decision)


async def test_unknown_customer(guard: Guard) -> None:
    decision = await guard.check(await guard.merchant(), customer_id="nobody")
    assert (verdict(decision), codes(decision)) == ("REVIEW", ["CUSTOMER_UNKNOWN"])


async def test_customer_of_another_merchant(guard: Guard) -> None:
    first, second = await guard.merchant(), await guard.merchant()
    customer = await guard.customer(parent=first)
    assert codes(await guard.check(first, customer_id=customer)) == []
    decision = await guard.check(second, customer_id=customer)
    assert (verdict(decision), codes(decision)) == ("REVIEW", ["SUBJECT_MISMATCH"])


async def test_another_connected_account(guard: Guard) -> None:
    merchant = await guard.merchant()
    decision = await guard.check(merchant, connected_account_id="acct_other")
    assert verdict(decision) == "REVIEW"
    assert codes(decision) == ["SUBJECT_MISMATCH", "SNAPSHOT_MISSING"]


async def test_a_merchant_without_an_account_needs_no_snapshot(guard: Guard) -> None:
    decision = await guard.check(await guard.merchant(account=None))
    assert (verdict(decision), codes(decision)) == ("ALLOW", [])
    assert "ACCOUNT_SNAPSHOT" not in evidence(decision)


async def test_kyc(guard: Guard) -> None:
    merchant = await guard.merchant(verified=False)
    assert codes(await guard.check(merchant)) == ["KYC_INCOMPLETE"]
    await guard.set_kyc(merchant, subject_pb2.KYC_STATE_PENDING)
    assert codes(await guard.check(merchant)) == ["KYC_INCOMPLETE"]
    await guard.set_kyc(merchant, subject_pb2.KYC_STATE_VERIFIED, expires_in=timedelta(days=1))
    assert codes(await guard.check(merchant)) == []
    await guard.set_kyc(merchant, subject_pb2.KYC_STATE_REJECTED)
    decision = await guard.check(merchant)
    assert (verdict(decision), codes(decision)) == ("DENY", ["KYC_REJECTED"])


async def test_kyc_runs_out(guard: Guard) -> None:
    merchant = await guard.merchant(account=None, verified=False)
    await guard.set_kyc(merchant, subject_pb2.KYC_STATE_VERIFIED, expires_in=timedelta(hours=1))
    guard.clock.advance(timedelta(hours=1))
    decision = await guard.check(merchant)
    assert (verdict(decision), codes(decision)) == ("REVIEW", ["KYC_EXPIRED"])


async def test_blocked_and_closed(guard: Guard) -> None:
    merchant, customer = await guard.merchant(), await guard.customer()
    await guard.set_state(customer, subject_pb2.SUBJECT_STATE_BLOCKED)
    decision = await guard.check(merchant, customer_id=customer)
    assert (verdict(decision), codes(decision)) == ("DENY", ["CUSTOMER_BLOCKED"])
    await guard.set_state(merchant, subject_pb2.SUBJECT_STATE_BLOCKED)
    decision = await guard.check(merchant)
    assert (verdict(decision), codes(decision)) == ("DENY", ["MERCHANT_BLOCKED"])
    await guard.set_state(merchant, subject_pb2.SUBJECT_STATE_ACTIVE)
    assert verdict(await guard.check(merchant)) == "ALLOW"
    await guard.set_state(merchant, subject_pb2.SUBJECT_STATE_CLOSED)
    assert verdict(await guard.check(merchant)) == "DENY"


async def test_prohibited_countries(guard: Guard) -> None:
    merchant = await guard.merchant()
    for field in ("billing_country_code", "payment_method_country_code", "network_country_code"):
        hint: dict[str, Any] = {field: "KP"}
        decision = await guard.check(merchant, **hint)
        assert (verdict(decision), codes(decision)) == ("DENY", ["COUNTRY_PROHIBITED"])
    decision = await guard.check(await guard.merchant(country="IR"))
    assert "COUNTRY_PROHIBITED" in codes(decision)


async def test_list_ages(guard: Guard) -> None:
    merchant = await guard.merchant(account=None)
    guard.clock.advance(timedelta(hours=24))
    assert codes(await guard.check(merchant)) == []
    guard.clock.advance(timedelta(seconds=1))
    decision = await guard.check(merchant)
    assert (verdict(decision), codes(decision)) == ("ALLOW", ["LIST_AGING"])
    assert evidence(decision)["SANCTIONS_LIST"] == "AGING"
    guard.clock.advance(timedelta(hours=24))
    decision = await guard.check(merchant)
    assert (verdict(decision), codes(decision)) == ("REVIEW", ["LIST_STALE"])
    assert evidence(decision)["SANCTIONS_LIST"] == "STALE"


async def test_a_subject_that_was_not_screened_waits(guard: Guard) -> None:
    merchant = await guard.merchant()
    with psycopg.connect(guard.database_url) as connection:
        connection.execute("UPDATE screening SET list_version = 0")
    decision = await guard.check(merchant)
    assert (verdict(decision), codes(decision)) == ("REVIEW", ["SCREENING_PENDING"])
    assert evidence(decision)["SCREENING"] == "STALE"


async def test_snapshot_is_fetched_when_missing_and_again_when_stale(guard: Guard) -> None:
    merchant = await guard.merchant()
    decision = await guard.check(merchant)
    assert evidence(decision)["ACCOUNT_SNAPSHOT"] == "FRESH"
    guard.clock.advance(timedelta(minutes=15))
    assert codes(await guard.check(merchant)) == []
    assert len(guard.merchants.syncs) == 1
    guard.clock.advance(timedelta(seconds=1))
    decision = await guard.check(merchant)
    assert codes(decision) == []
    assert len(guard.merchants.syncs) == 2
    (piece,) = [
        piece
        for piece in decision.evidence
        if piece.kind == decision_pb2.EVIDENCE_KIND_ACCOUNT_SNAPSHOT
    ]
    assert piece.age.ToTimedelta() == timedelta(0)


async def test_snapshot_missing_and_gateway_down(guard: Guard) -> None:
    merchant = await guard.merchant()
    guard.merchants.is_down = True
    decision = await guard.check(merchant)
    assert (verdict(decision), codes(decision)) == ("REVIEW", ["SNAPSHOT_MISSING"])
    assert evidence(decision)["ACCOUNT_SNAPSHOT"] == "MISSING"


async def test_snapshot_stale_and_gateway_down(guard: Guard) -> None:
    merchant = await guard.merchant()
    await guard.check(merchant)
    guard.merchants.is_down = True
    guard.clock.advance(timedelta(minutes=15, seconds=1))
    decision = await guard.check(merchant)
    assert (verdict(decision), codes(decision)) == ("REVIEW", ["SNAPSHOT_STALE"])
    assert evidence(decision)["ACCOUNT_SNAPSHOT"] == "STALE"


async def test_stripe_itself_is_behind(guard: Guard) -> None:
    """The gateway answers, but what it saw at Stripe is old, or comes from the future."""
    merchant = await guard.merchant()
    (snapshot,) = guard.merchants.snapshots.values()
    snapshot.fetch_time.FromDatetime(guard.clock.now() - timedelta(hours=1))
    assert codes(await guard.check(merchant)) == ["SNAPSHOT_STALE"]
    snapshot.fetch_time.FromDatetime(guard.clock.now() + timedelta(hours=1))
    assert codes(await guard.check(merchant)) == ["SNAPSHOT_STALE"]


async def test_gateway_too_slow_for_the_deadline(guard: Guard) -> None:
    merchant = await guard.merchant()
    guard.merchants.held = asyncio.Event()
    decision = await guard.check(merchant, timeout=0.6)
    assert (verdict(decision), codes(decision)) == ("REVIEW", ["SNAPSHOT_MISSING"])
    guard.merchants.held.set()


async def test_gateway_too_slow_without_a_deadline(open_guard: OpenGuard) -> None:
    async with open_guard(snapshot_timeout_seconds=0.2) as guard:
        merchant = await guard.merchant()
        guard.merchants.held = asyncio.Event()
        decision = await guard.check(merchant)
        assert codes(decision) == ["SNAPSHOT_MISSING"]
        guard.merchants.held.set()


async def test_no_gateway_configured(open_guard: OpenGuard) -> None:
    async with open_guard(gateway_address="") as guard:
        decision = await guard.check(await guard.merchant())
        assert codes(decision) == ["SNAPSHOT_MISSING"]


async def test_what_became_of_payments_is_not_known_or_too_old(open_guard: OpenGuard) -> None:
    """Nothing is found, but where a policy says so."""

    async def checked(guard: Guard) -> tuple[str, list[str], str | None]:
        decision = await guard.check(merchant)
        state = evidence(decision).get("PAYMENT_OUTCOMES")
        return verdict(decision), codes(decision), state

    async with open_guard(gateway_address="") as guard:
        merchant = await guard.merchant(account=None)
        assert await checked(guard) == ("ALLOW", [], None)
        strict = await draft_of(guard, unknown_rates_outcome=decision_pb2.VERDICT_REVIEW)
        await activate(guard, strict)
        unknown = ("REVIEW", ["CHARGEBACK_RATE"], None)
        await poll(lambda: checked(guard), lambda found: found == unknown)
        # The feed was followed up to now, and then nobody follows it any more.
        async with await psycopg.AsyncConnection.connect(
            guard.database_url, autocommit=True
        ) as connection:
            await connection.execute(
                "UPDATE outcome_watch SET follow_time = %s", [guard.clock.now()]
            )
        assert await checked(guard) == ("ALLOW", [], "FRESH")
        guard.clock.advance(timedelta(hours=24))
        assert await checked(guard) == ("ALLOW", [], "FRESH")
        guard.clock.advance(timedelta(microseconds=1))
        assert await checked(guard) == ("REVIEW", ["CHARGEBACK_RATE", "LIST_AGING"], "STALE")
        await activate(guard, "built-in-5", strict)
        calm = ("ALLOW", ["LIST_AGING"], "STALE")
        await poll(lambda: checked(guard), lambda found: found == calm)


async def test_a_payout_problem_does_not_stop_charging(guard: Guard) -> None:
    account = unique("acct").replace("-", "_")
    guard.merchants.add(account, payouts_enabled=False)
    merchant = await guard.merchant(account=account)
    assert verdict(await guard.check(merchant)) == "ALLOW"
    amount = Money(currency_code="EUR", minor_units=500)
    payout = await guard.checks.CheckPayout(
        compliance_service_pb2.CheckPayoutRequest(
            request_id="r",
            payout_id="po_1",
            merchant_id=merchant,
            amount=amount,
            corridor="main",
        )
    )
    assert codes(payout.decision) == ["PAYOUTS_DISABLED"]
    transfer = await guard.checks.CheckTransfer(
        compliance_service_pb2.CheckTransferRequest(
            request_id="r-transfer",
            transfer_id="tr_1",
            merchant_id=merchant,
            amount=amount,
            corridor="main",
        )
    )
    assert verdict(transfer.decision) == "ALLOW"


async def test_a_decision_that_cannot_be_written_is_none(guard: Guard) -> None:
    """An error, which allows nothing; and the log goes on when it can."""
    merchant = await guard.merchant()
    await guard.check(merchant)
    with psycopg.connect(guard.database_url, autocommit=True) as connection:
        connection.execute("REVOKE INSERT ON decision FROM compliance_service")
        error = await failure(guard.check(merchant))
        assert (error.code, error.reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "DEPENDENCY_UNAVAILABLE",
        )
        connection.execute("GRANT INSERT ON decision TO compliance_service")
    assert (await guard.check(merchant)).sequence == 2


async def test_lost_connections_are_replaced(guard: Guard) -> None:
    merchant = await guard.merchant()
    await guard.check(merchant)
    with psycopg.connect(guard.database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert (await guard.check(merchant)).sequence == 2
