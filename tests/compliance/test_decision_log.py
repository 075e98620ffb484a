"""The decision log: repeated requests, the chain, and that nobody changes it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable

import grpc
import psycopg
import pytest
from psycopg import sql

from compliance.checks.decision_store import chain_hash
from compliance.config import BUNDLED_SDN_FILE
from compliance.v1 import (
    compliance_service_pb2,
    decision_pb2,
    decision_service_pb2,
    subject_pb2,
)
from compliance.v1.decision_service_pb2 import ListDecisionsRequest
from compliance.wire_time import to_timestamp
from money.v1.money_pb2 import Money
from runtime.clock import ManualClock
from runtime.errors import from_rpc_error
from tests.compliance.conftest import START, OpenGuard
from tests.compliance.guard import Guard, codes, failure, running_guard, unique, verdict
from tests.plugin import Databases

KEPT_FOR_GOOD = (
    *("decision", "mutation", "subject_change", "match_change", "account_snapshot"),
    "case_event",
)


def payment_request(merchant: str, **changes: object) -> compliance_service_pb2.CheckPaymentRequest:
    request = compliance_service_pb2.CheckPaymentRequest(
        request_id="once",
        payment_id="pay-1",
        merchant_id=merchant,
        amount=Money(currency_code="EUR", minor_units=1_000),
        corridor="main",
    )
    request.MergeFrom(compliance_service_pb2.CheckPaymentRequest(**changes))  # type: ignore[arg-type]
    return request


async def verify(
    guard: Guard, from_sequence: int = 0, limit: int = 0
) -> decision_service_pb2.VerifyDecisionsResponse:
    answer: decision_service_pb2.VerifyDecisionsResponse = await guard.decisions.VerifyDecisions(
        decision_service_pb2.VerifyDecisionsRequest(first_sequence=from_sequence, limit=limit)
    )
    return answer


async def test_the_same_request_gets_the_first_decision(guard: Guard) -> None:
    merchant = await guard.merchant()
    request = payment_request(merchant)
    first = await guard.checks.CheckPayment(request)
    await guard.set_state(merchant, subject_pb2.SUBJECT_STATE_BLOCKED)
    assert (await guard.checks.CheckPayment(request)).decision == first.decision
    again = await guard.check(merchant)
    assert (verdict(again), again.sequence) == ("DENY", 2)


async def test_another_body_under_the_same_id_is_refused_with_what_differs(guard: Guard) -> None:
    merchant = await guard.merchant()
    await guard.checks.CheckPayment(payment_request(merchant))
    other = payment_request(
        merchant,
        amount=Money(minor_units=1_001),
        billing_country_code="FR",
    )
    error = await failure(guard.checks.CheckPayment(other))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert error.metadata == {
        "request_id": "once",
        "differing_fields": "amount.minor_units,billing_country_code",
        "differing_field_count": "2",
    }
    assert (await verify(guard)).last_sequence == 1


async def test_one_id_at_a_time_from_many_callers_is_one_decision(guard: Guard) -> None:
    merchant = await guard.merchant()
    request = payment_request(merchant)
    answers = await asyncio.gather(*(guard.checks.CheckPayment(request) for _ in range(30)))
    assert len({answer.decision.id for answer in answers}) == 1
    assert (await verify(guard)).last_sequence == 1


async def test_many_decisions_of_two_replicas_are_one_chain(open_guard: OpenGuard) -> None:
    async with open_guard() as first, open_guard() as second:
        merchant = await first.merchant(account=None)
        await asyncio.gather(
            *(guard.check(merchant) for _ in range(40) for guard in (first, second))
        )
        found = await verify(first)
        assert (found.valid, found.last_sequence, found.complete) == (True, 80, True)


async def test_the_chain_can_be_recomputed_by_anyone(guard: Guard) -> None:
    merchant = await guard.merchant()
    for _ in range(3):
        await guard.check(merchant)
    with psycopg.connect(guard.database_url) as connection:
        rows = connection.execute(
            "SELECT record, request, previous_hash, hash FROM decision ORDER BY sequence"
        ).fetchall()
    previous = bytes(32)
    for record, request, previous_hash, hash_ in rows:
        assert previous_hash == previous
        digest = hashlib.sha256(previous + hashlib.sha256(request).digest() + record.encode())
        assert hash_ == digest.digest() == chain_hash(previous, request, record)
        previous = hash_
    found = await verify(guard)
    assert (found.valid, found.complete, found.last_hash) == (True, True, previous)


async def test_verification_goes_in_stretches(guard: Guard) -> None:
    merchant = await guard.merchant()
    assert not (await verify(guard)).last_sequence
    for _ in range(5):
        await guard.check(merchant)
    found = await verify(guard, 2, 2)
    assert (found.valid, found.last_sequence, found.complete) == (True, 3, False)
    found = await verify(guard, 4, 2)
    assert (found.valid, found.last_sequence, found.complete) == (True, 5, True)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE decision SET record = replace(record, 'ALLOW', 'DENY') WHERE sequence = 2",
        "UPDATE decision SET request = '\\x00' WHERE sequence = 2",
        "UPDATE decision SET hash = sha256(hash) WHERE sequence = 2",
        "DELETE FROM decision WHERE sequence = 2",
    ],
)
async def test_tampering_by_whoever_can_switch_triggers_off_is_found(
    guard: Guard, tampering: str
) -> None:
    merchant = await guard.merchant()
    for _ in range(4):
        await guard.check(merchant)
    with psycopg.connect(guard.database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE decision DISABLE TRIGGER USER")
        connection.execute(tampering.encode())
        connection.execute("ALTER TABLE decision ENABLE TRIGGER USER")
    found = await verify(guard)
    assert (found.valid, found.first_broken_sequence, found.last_sequence) == (False, 2, 1)


@pytest.fixture(scope="module")
async def kept_url(postgres_url: str, template_of: Callable[[str], str]) -> AsyncIterator[str]:
    """A database with a row in each table that is kept for good, which nobody serves."""
    databases = Databases(postgres_url)
    url = databases.make("kept", template_of("compliance"))
    folder = BUNDLED_SDN_FILE.parent
    async with running_guard(url, ManualClock(START), folder) as guard:
        await guard.check(await guard.merchant("Synthetic Blocked Trading Company"))
    yield url
    databases.drop()


@pytest.mark.parametrize("table", KEPT_FOR_GOOD)
@pytest.mark.parametrize("role", ["owner", "service"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
async def test_what_is_kept_for_good_cannot_be_changed(
    kept_url: str, table: str, role: str, statement: str
) -> None:
    column = {"decision": "record", "account_snapshot": "content"}.get(table, "record_time")
    names = [sql.Identifier(table)]
    if statement.startswith("UPDATE"):
        names += [sql.Identifier(column), sql.Identifier(column)]
    with psycopg.connect(kept_url, autocommit=True) as connection:
        if role == "service":
            connection.execute("SET ROLE compliance_service")
        expected = (
            psycopg.errors.RestrictViolation
            if role == "owner"
            else psycopg.errors.InsufficientPrivilege
        )
        with pytest.raises(expected):
            connection.execute(sql.SQL(statement).format(*names).as_string().encode())


async def test_the_database_gives_each_decision_its_place_whoever_writes(guard: Guard) -> None:
    await guard.check(await guard.merchant())
    with psycopg.connect(guard.database_url, autocommit=True) as connection:
        connection.execute(
            """INSERT INTO decision
                (sequence, record, request, previous_hash, hash, decision_id, verdict, merchant_id)
            SELECT 99, replace(replace(record, decision_id, 'forged'), request_id, 'forged'),
                request, '\\x00', '\\x00', 'another', 'DENY', 'another'
            FROM decision"""
        )
        told = connection.execute(
            """SELECT decision_id, kind, request_id, reference_id, merchant_id, verdict,
                record_time_us, record::jsonb AS record
            FROM decision ORDER BY sequence DESC LIMIT 1"""
        )
        columns = [column.name for column in told.description or ()][:-1]
        (*values, record) = told.fetchone() or ()
    assert values == [record[column] for column in columns]
    assert values[0] == values[2] == "forged"
    found = await verify(guard)
    assert (found.valid, found.last_sequence) == (True, 2)


async def test_decisions_are_got_and_replayed(guard: Guard) -> None:
    merchant = await guard.merchant("Synthetic Blocked Trading Company")
    decision = await guard.check(merchant, billing_country_code="KP")
    got = await guard.decisions.GetDecision(
        decision_service_pb2.GetDecisionRequest(decision_id=decision.id)
    )
    assert got.decision == decision
    # What happens later changes nothing about what was known then.
    await guard.set_state(merchant, subject_pb2.SUBJECT_STATE_BLOCKED)
    replayed = await guard.decisions.ReplayDecision(
        decision_service_pb2.ReplayDecisionRequest(decision_id=decision.id)
    )
    assert replayed.identical
    assert replayed.verdict == decision_pb2.VERDICT_DENY
    assert list(replayed.reasons) == list(decision.reasons)


async def test_unknown_decisions(guard: Guard) -> None:
    for call in (
        guard.decisions.GetDecision(
            decision_service_pb2.GetDecisionRequest(decision_id="dec_nowhere")
        ),
        guard.decisions.ReplayDecision(
            decision_service_pb2.ReplayDecisionRequest(decision_id="dec_nowhere")
        ),
    ):
        error = await failure(call)
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "DECISION_NOT_FOUND")
        assert error.metadata == {"decision_id": "dec_nowhere"}


async def test_decisions_are_listed_by_filters_page_by_page(guard: Guard) -> None:
    good = await guard.merchant()
    blocked = await guard.merchant()
    await guard.set_state(blocked, subject_pb2.SUBJECT_STATE_BLOCKED)
    made = [await guard.check(merchant) for merchant in (good, blocked, good, good)]

    async def sequences(request: ListDecisionsRequest) -> list[int]:
        listed = await guard.decisions.ListDecisions(request)
        return [decision.sequence for decision in listed.decisions]

    assert await sequences(ListDecisionsRequest()) == [4, 3, 2, 1]
    assert await sequences(ListDecisionsRequest(verdict=decision_pb2.VERDICT_DENY)) == [2]
    assert await sequences(ListDecisionsRequest(merchant_id=good)) == [4, 3, 1]
    assert await sequences(ListDecisionsRequest(reference_id=made[0].reference_id)) == [1]
    assert await sequences(ListDecisionsRequest(kind=decision_pb2.DECISION_KIND_PAYOUT)) == []
    now = to_timestamp(guard.clock.now())
    assert await sequences(ListDecisionsRequest(start_record_time=now)) == [4, 3, 2, 1]
    assert await sequences(ListDecisionsRequest(end_record_time=now)) == []
    page = await guard.decisions.ListDecisions(ListDecisionsRequest(merchant_id=good, page_size=2))
    await guard.check(good)
    rest = ListDecisionsRequest(merchant_id=good, page_size=2, page_token=page.next_page_token)
    assert await sequences(rest) == [1]
    foreign = ListDecisionsRequest(merchant_id=blocked, page_token=page.next_page_token)
    error = await failure(guard.decisions.ListDecisions(foreign))
    assert error.reason == "INVALID_PAGE_TOKEN"


def payout_request(merchant: str, request_id: str) -> compliance_service_pb2.CheckPayoutRequest:
    return compliance_service_pb2.CheckPayoutRequest(
        request_id=request_id,
        payout_id="po_1",
        merchant_id=merchant,
        amount=Money(currency_code="EUR", minor_units=1),
        corridor="main",
    )


async def test_ids_are_unique_over_all_checks(guard: Guard) -> None:
    merchant = await guard.merchant()
    request_id = unique("shared")
    request = payment_request(merchant, request_id=request_id)
    payment = (await guard.checks.CheckPayment(request)).decision
    error = await failure(guard.checks.CheckPayout(payout_request(merchant, request_id)))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert error.metadata["differing_fields"] == "method"
    assert (await guard.checks.CheckPayment(request)).decision == payment
    payout = await guard.checks.CheckPayout(payout_request(merchant, unique("other")))
    assert (codes(payment), codes(payout.decision)) == ([], [])


async def test_of_two_checks_with_one_id_at_a_time_one_is_decided(guard: Guard) -> None:
    merchant = await guard.merchant()
    for _ in range(5):
        request_id = unique("race")
        outcomes = await asyncio.gather(
            guard.check(merchant, request_id=request_id),
            guard.checks.CheckPayout(payout_request(merchant, request_id)),
            return_exceptions=True,
        )
        (refused,) = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
        assert from_rpc_error(refused).metadata["differing_fields"] == "method"
