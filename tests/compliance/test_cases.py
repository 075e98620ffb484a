"""Cases over a socket and a real database: opened by checks, decided by people, told of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from prometheus_client import REGISTRY

from compliance.cases.gauges import CaseGauges
from compliance.v1 import (
    case_pb2,
    compliance_service_pb2,
    decision_pb2,
    decision_service_pb2,
    operator_act_service_pb2,
    screening_service_pb2,
    subject_pb2,
)
from compliance.v1 import case_service_pb2 as pb
from compliance.v1.case_service_pb2_grpc import CaseServiceStub
from compliance.v1.compliance_service_pb2_grpc import ComplianceServiceStub
from compliance.v1.operator_act_service_pb2_grpc import OperatorActServiceStub
from compliance.v1.subject_service_pb2_grpc import SubjectServiceStub
from compliance.wire_time import to_timestamp
from money.v1.money_pb2 import Money
from runtime.postgres import create_engine
from sandbox.addresses import at
from sandbox.certificates import channel_credentials, make_certificates
from tests.compliance.conftest import OpenGuard
from tests.compliance.guard import Guard, codes, failure, unique, verdict
from tests.compliance.test_list_loading import append, sdn_row
from tests.compliance.test_matches import rename

OVER_REVIEW_LIMIT = 1_000_001
# What one person may approve in euros.
FOUR_EYES = 5_000_000
QUICK = {"case_interval_seconds": 0.02, "case_idle_hours": 100.0}
WITHIN_SECONDS = 10.0


async def check(guard: Guard, merchant: str, payment_id: str, **fields: Any) -> Any:
    """A new check of the payment."""
    amount = fields.pop("amount", OVER_REVIEW_LIMIT)
    answer = await guard.checks.CheckPayment(
        compliance_service_pb2.CheckPaymentRequest(
            request_id=unique("check"),
            payment_id=payment_id,
            merchant_id=merchant,
            customer_id=fields.pop("customer_id", guard.known_customer),
            amount=Money(currency_code=fields.pop("currency", "EUR"), minor_units=amount),
            corridor="main",
            **fields,
        )
    )
    return answer.decision


async def cases(guard: Guard, **filters: Any) -> list[case_pb2.Case]:
    return list((await guard.cases.ListCases(pb.ListCasesRequest(**filters))).cases)


async def the_case(guard: Guard, payment_id: str, **filters: Any) -> case_pb2.Case:
    """The only open case of the payment."""
    (case,) = await cases(guard, reference_id=payment_id, state=case_pb2.CASE_STATE_OPEN, **filters)
    return case


async def approve(guard: Guard, case: case_pb2.Case, **changes: Any) -> case_pb2.Case:
    request = pb.ApproveCaseRequest(
        request_id=changes.pop("request_id", "") or unique("approve"),
        case_id=case.id,
        expected_revision=changes.pop("expected_revision", case.revision),
        note=changes.pop("note", "seen the invoice"),
    )
    return (await guard.cases.ApproveCase(request)).case


async def refuse(guard: Guard, case: case_pb2.Case) -> case_pb2.Case:
    request = pb.RefuseCaseRequest(request_id=unique("refuse"), case_id=case.id, note="no")
    return (await guard.cases.RefuseCase(request)).case


async def events(guard: Guard, case_id: str) -> list[str]:
    listed = await guard.cases.ListCaseEvents(pb.ListCaseEventsRequest(case_id=case_id))
    names = [case_pb2.CaseEventKind.Name(event.kind) for event in listed.events]
    return [name.removeprefix("CASE_EVENT_KIND_") for name in names]


def state(case: case_pb2.Case) -> str:
    return case_pb2.CaseState.Name(case.state).removeprefix("CASE_STATE_")


async def until_closed(guard: Guard, case_id: str) -> case_pb2.Case:
    """The case once a loop has closed it."""
    async with asyncio.timeout(WITHIN_SECONDS):
        async for told in guard.cases.WatchCases(pb.WatchCasesRequest()):
            if told.case.id == case_id and told.case.state != case_pb2.CASE_STATE_OPEN:
                return told.case
    raise AssertionError("the feed has ended")


@pytest.fixture
async def guard(open_guard: OpenGuard) -> AsyncIterator[Guard]:
    async with with_customer(open_guard) as opened:
        yield opened


@asynccontextmanager
async def with_customer(open_guard: OpenGuard, **settings: Any) -> AsyncIterator[Guard]:
    async with open_guard(**{**QUICK, **settings}) as opened:
        opened.known_customer = await opened.customer()
        yield opened


async def test_a_payment_is_approved_and_the_log_says_so(guard: Guard) -> None:
    merchant = await guard.merchant()
    first = await check(guard, merchant, "pay-1")
    assert (verdict(first), codes(first)) == ("REVIEW", ["AMOUNT_OVER_REVIEW_LIMIT"])
    second = await check(guard, merchant, "pay-1")
    case = await the_case(guard, "pay-1")
    assert (case.decision_id, case.revision) == (second.id, 1)
    (found,) = case.findings
    assert (found.way_out, found.method.split("/")[1]) == (
        case_pb2.WAY_OUT_APPROVAL,
        "ApproveCase",
    )
    approved = await approve(guard, case)
    assert (state(approved), approved.closed_by) == ("APPROVED", "sandbox")

    allowed = await check(guard, merchant, "pay-1")
    (reason,) = allowed.reasons
    assert (verdict(allowed), reason.approved, allowed.case_id) == ("ALLOW", True, case.id)
    assert reason.merchant_text == ""
    # What it covers is this payment, and this amount of it.
    assert verdict(await check(guard, merchant, "pay-2")) == "REVIEW"
    more = await check(guard, merchant, "pay-1", amount=OVER_REVIEW_LIMIT + 1)
    assert (verdict(more), codes(more)) == ("REVIEW", ["AMOUNT_OVER_REVIEW_LIMIT"])
    other = await the_case(guard, "pay-1")
    assert other.id != case.id

    # Whatever is decided since, what was decided then is replayed as it was.
    await refuse(guard, other)
    replayed = await guard.decisions.ReplayDecision(
        decision_service_pb2.ReplayDecisionRequest(decision_id=allowed.id)
    )
    assert (replayed.identical, list(replayed.reasons)) == (True, list(allowed.reasons))
    denied = await check(guard, merchant, "pay-1")
    assert (verdict(denied), codes(denied)[0]) == ("DENY", "CASE_REFUSED")
    whole = await guard.decisions.VerifyDecisions(decision_service_pb2.VerifyDecisionsRequest())
    assert (whole.valid, whole.complete) == (True, True)
    assert await events(guard, case.id) == ["OPENED", "APPROVED"]
    assert await events(guard, other.id) == ["OPENED", "REFUSED"]


async def test_an_approval_does_not_cover_what_comes_later(guard: Guard) -> None:
    merchant = await guard.merchant("Handel Unbescholten")
    await check(guard, merchant, "pay-1")
    await approve(guard, await the_case(guard, "pay-1"))
    assert verdict(await check(guard, merchant, "pay-1")) == "ALLOW"
    # A new version of the list names the merchant.
    append(guard.sdn_folder, "sdn.csv", sdn_row(900_100, "UNBESCHOLTEN, Handel"))
    await guard.load_list()
    listed = await check(guard, merchant, "pay-1")
    assert verdict(listed) == "REVIEW"
    assert codes(listed) == ["MERCHANT_MATCH_OPEN", "AMOUNT_OVER_REVIEW_LIMIT"]
    assert [reason.approved for reason in listed.reasons] == [False, True]
    case = await the_case(guard, "pay-1")
    # No approval takes the place of a decision about the match, which ends the case by itself.
    refused = await failure(approve(guard, case))
    assert (refused.reason, refused.metadata["codes"]) == (
        "CASE_NOT_APPROVABLE",
        "MERCHANT_MATCH_OPEN",
    )
    (match,) = await guard.matches(merchant)
    await guard.screening.ClearMatch(
        screening_service_pb2.ClearMatchRequest(
            request_id=unique("clear"), match_id=match.id, note="another company"
        )
    )
    closed = await until_closed(guard, case.id)
    assert state(closed) == "CLEARED"
    assert verdict(await check(guard, merchant, "pay-1")) == "ALLOW"


async def test_two_people_over_the_limit_and_each_act_is_kept(guard: Guard) -> None:
    merchant = await guard.merchant()
    await check(guard, merchant, "pay-1", amount=FOUR_EYES + 1)
    case = await the_case(guard, "pay-1")
    assert case.needs_second_approval
    once = await approve(guard, case, request_id="once")
    assert (state(once), once.first_approver) == ("OPEN", "sandbox")
    # The same request again is the same approval, and the same client is nobody else.
    assert await approve(guard, case, request_id="once") == once
    same = await failure(approve(guard, case))
    assert (same.reason, same.metadata["client"]) == ("CASE_NEEDS_ANOTHER_APPROVER", "sandbox")
    assert verdict(await check(guard, merchant, "pay-1", amount=FOUR_EYES + 1)) == "REVIEW"
    # What changed since has been approved by nobody.
    await rename(guard, merchant, "Umbenannt GmbH")
    await check(guard, merchant, "pay-1", amount=FOUR_EYES + 1)
    changed = await the_case(guard, "pay-1")
    assert (changed.revision, changed.first_approver) == (2, "")
    outdated = await failure(approve(guard, case))
    assert (outdated.reason, outdated.metadata["revision"]) == ("CASE_REVISION_MISMATCH", "2")
    assert await events(guard, case.id) == ["OPENED", "APPROVED_ONCE", "CHANGED"]
    acts = await OperatorActServiceStub(guard.channel).ListOperatorActs(
        operator_act_service_pb2.ListOperatorActsRequest(about={"case_id": case.id})
    )
    assert [(act.method.split("/")[1], act.outcome) for act in acts.acts] == [
        ("ApproveCase", "CASE_REVISION_MISMATCH"),
        ("ApproveCase", "CASE_NEEDS_ANOTHER_APPROVER"),
        ("ApproveCase", "OK"),
        ("ApproveCase", "OK"),
    ]


async def test_cases_are_assigned_noted_listed_and_counted(guard: Guard) -> None:
    merchant, other = await guard.merchant(), await guard.merchant()
    for number in range(3):
        await check(guard, merchant, f"pay-{number}")
        guard.clock.advance(timedelta(hours=4))
    await check(guard, other, "pay-other")
    first = await the_case(guard, "pay-0")
    assigned = await guard.cases.AssignCase(
        pb.AssignCaseRequest(request_id=unique("assign"), case_id=first.id, assignee="ann.example")
    )
    assert assigned.case.assignee == "ann.example"
    await guard.cases.AddCaseNote(
        pb.AddCaseNoteRequest(request_id=unique("note"), case_id=first.id, note="called them")
    )
    assert await events(guard, first.id) == ["OPENED", "ASSIGNED", "NOTED"]

    def references(found: list[case_pb2.Case]) -> list[str]:
        return [case.reference_id for case in found]

    assert references(await cases(guard, merchant_id=merchant)) == ["pay-0", "pay-1", "pay-2"]
    assert references(await cases(guard, merchant_id=other)) == ["pay-other"]
    assert references(await cases(guard, assignee="ann.example")) == ["pay-0"]
    newest = await cases(guard, unassigned=True, newest_first=True)
    assert references(newest) == ["pay-other", "pay-2", "pay-1"]
    older = to_timestamp(guard.clock.now() - timedelta(hours=7))
    assert references(await cases(guard, end_open_time=older)) == ["pay-0", "pay-1"]
    assert references(await cases(guard, start_open_time=older)) == ["pay-2", "pay-other"]
    request = pb.ListCasesRequest(page_size=3)
    page = await guard.cases.ListCases(request)
    request.page_token = page.next_page_token
    rest = await guard.cases.ListCases(request)
    assert references([*page.cases, *rest.cases]) == ["pay-0", "pay-1", "pay-2", "pay-other"]
    assert rest.next_page_token == ""

    engine = create_engine(
        guard.database_url, role="compliance_service", pool_size=1, application_name="test"
    )
    await CaseGauges(engine, timedelta(hours=8), guard.clock).round()
    await engine.dispose()
    labels = {"kind": "PAYMENT", "stage": "unassigned"}
    assert REGISTRY.get_sample_value("compliance_cases_open", labels) == 3
    assert REGISTRY.get_sample_value("compliance_cases_late", labels) == 0
    assert REGISTRY.get_sample_value("compliance_cases_oldest_seconds", labels) == 8 * 3600
    labels["stage"] = "assigned"
    assert REGISTRY.get_sample_value("compliance_cases_late", labels) == 1
    payouts = {"kind": "PAYOUT", "stage": "second_approval"}
    assert REGISTRY.get_sample_value("compliance_cases_open", payouts) == 0


async def test_what_nobody_decides_expires_and_is_denied(guard: Guard) -> None:
    merchant = await guard.merchant()
    await check(guard, merchant, "pay-1")
    case = await the_case(guard, "pay-1")
    guard.clock.advance(timedelta(hours=96))
    closed = await until_closed(guard, case.id)
    assert (state(closed), closed.closed_by) == ("EXPIRED", "")
    late = await failure(refuse(guard, case))
    assert (late.code, late.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CASE_CLOSED")
    assert codes(await check(guard, merchant, "pay-1"))[0] == "CASE_EXPIRED"


async def test_what_nobody_asks_about_any_more_is_no_work(open_guard: OpenGuard) -> None:
    async with with_customer(open_guard, case_idle_hours=6.0) as guard:
        merchant = await guard.merchant()
        await check(guard, merchant, "pay-1")
        case = await the_case(guard, "pay-1")
        guard.clock.advance(timedelta(hours=6))
        closed = await until_closed(guard, case.id)
        assert (state(closed), closed.close_note) == (
            "CLEARED",
            "nobody has asked about it any more",
        )
        # Whoever does ask again is not denied.
        again = await check(guard, merchant, "pay-1")
        assert (verdict(again), again.case_id) == ("REVIEW", "")
        assert (await the_case(guard, "pay-1")).id != case.id


async def test_who_watches_is_told_of_everything_in_order(guard: Guard) -> None:
    merchant = await guard.merchant()
    for number in range(3):
        await check(guard, merchant, f"pay-{number}")
    feed: Any = guard.cases.WatchCases(pb.WatchCasesRequest(after_sequence=1))
    async with asyncio.timeout(WITHIN_SECONDS):
        before = [await feed.read(), await feed.read()]
        assert [told.event.sequence for told in before] == [2, 3]
        await approve(guard, await the_case(guard, "pay-0"))
        told = await feed.read()
        assert (told.event.sequence, told.event.kind) == (4, case_pb2.CASE_EVENT_KIND_APPROVED)
        assert (told.case.reference_id, state(told.case)) == ("pay-0", "APPROVED")
        # The operator's own decisions wake it, and what another process does.
        await refuse(guard, await the_case(guard, "pay-1"))
        assert (await feed.read()).event.kind == case_pb2.CASE_EVENT_KIND_REFUSED
    feed.cancel()
    now = to_timestamp(guard.clock.now())
    feed = guard.cases.WatchCases(pb.WatchCasesRequest(start_record_time=now))
    assert (await feed.read()).event.sequence == 1
    feed.cancel()
    ahead = guard.cases.WatchCases(pb.WatchCasesRequest(after_sequence=6))
    outdated = await failure(ahead.read())
    assert (outdated.reason, outdated.metadata["after_sequence"]) == ("CURSOR_OUTDATED", "5")


async def test_a_case_follows_its_evidence(guard: Guard) -> None:
    # Proven by nobody, and over the limit: only the second is a matter of judgement.
    merchant = await guard.merchant(verified=False)
    await check(guard, merchant, "pay-1")
    case = await the_case(guard, "pay-1")
    assert [decision_pb2.ReasonCode.Name(f.reason.code)[12:] for f in case.findings] == [
        "KYC_INCOMPLETE",
        "AMOUNT_OVER_REVIEW_LIMIT",
    ]
    feed: Any = guard.cases.WatchCases(pb.WatchCasesRequest(after_sequence=1))
    await guard.set_kyc(merchant, subject_pb2.KYC_STATE_VERIFIED)
    async with asyncio.timeout(WITHIN_SECONDS):
        told = await feed.read()
        assert (told.event.kind, told.case.revision) == (case_pb2.CASE_EVENT_KIND_CHANGED, 2)
        await approve(guard, told.case)
        assert (await feed.read()).case.state == case_pb2.CASE_STATE_APPROVED
        # Who is blocked is denied, and his case is nobody's work any more.
        await check(guard, merchant, "pay-2")
        assert (await feed.read()).event.kind == case_pb2.CASE_EVENT_KIND_OPENED
        await guard.set_state(merchant, subject_pb2.SUBJECT_STATE_BLOCKED)
        assert (await feed.read()).case.state == case_pb2.CASE_STATE_SUPERSEDED
    feed.cancel()
    assert verdict(await check(guard, merchant, "pay-1")) == "DENY"


async def test_who_does_not_wait_opens_no_case(guard: Guard) -> None:
    merchant = await guard.merchant()
    assert verdict(await check(guard, merchant, "pay-1", does_not_wait=True)) == "REVIEW"
    assert await cases(guard) == []
    # One that waits under the same id does, and then it ends the case all the same.
    await check(guard, merchant, "pay-1")
    case = await the_case(guard, "pay-1")
    await check(guard, merchant, "pay-1", does_not_wait=True, amount=1)
    assert state((await guard.cases.GetCase(pb.GetCaseRequest(case_id=case.id))).case) == "CLEARED"


async def test_a_case_that_cannot_be_read_holds_up_no_other(guard: Guard) -> None:
    merchant = await guard.merchant(verified=False)
    for name in ("pay-bad", "pay-good"):
        await check(guard, merchant, name, amount=1)
    (bad, good) = await cases(guard)
    with psycopg.connect(guard.database_url) as connection:
        connection.execute("UPDATE review_case SET scope = '{}' WHERE case_id = %s", [bad.id])
    assert [case.revision for case in await cases(guard)] == [1, 1]
    assert [case.reference_id for case in await cases(guard)] == ["", "pay-good"]
    # The loops go on with the others, and whoever watches is told of them.
    await guard.set_kyc(merchant, subject_pb2.KYC_STATE_VERIFIED)
    assert state(await until_closed(guard, good.id)) == "CLEARED"
    guard.clock.advance(timedelta(hours=96))
    merchant = await guard.merchant(verified=False)
    await check(guard, merchant, "pay-late", amount=1)
    late = await the_case(guard, "pay-late")
    guard.clock.advance(timedelta(hours=96))
    assert state(await until_closed(guard, late.id)) == "EXPIRED"


async def test_checks_at_once_open_one_case_each_and_history_is_not_changed(guard: Guard) -> None:
    merchant = await guard.merchant()
    names = [f"pay-{number % 4}" for number in range(24)]
    await asyncio.gather(*(check(guard, merchant, name) for name in names))
    assert len(await cases(guard)) == 4
    with psycopg.connect(guard.database_url) as connection:
        sequences = connection.execute("SELECT sequence FROM case_event ORDER BY 1").fetchall()
        assert [sequence for (sequence,) in sequences] == [1, 2, 3, 4]
        for statement in ("UPDATE case_event SET note = 'x'", "DELETE FROM case_event"):
            with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
                connection.execute(statement.encode())


async def test_two_names_in_certificates_are_two_people(
    open_guard: OpenGuard, tmp_path: Path
) -> None:
    names = ("compliance", "gateway", "ann.example", "bob.example", "sue.example")
    files = make_certificates(tmp_path / "certificates", datetime.now(UTC), names)
    own = files["compliance"]
    roles = {"gateway": "service", "ann.example": "operator", "bob.example": "operator"}
    settings = {
        "tls_certificate_file": own.certificate,
        "tls_key_file": own.key,
        "tls_ca_file": own.ca,
        "client_roles": {**roles, "sue.example": "support"},
        "gateway_address": None,
    }
    async with open_guard(**settings) as guard, AsyncExitStack() as stack:

        async def stub(make: Any, name: str) -> Any:
            channel = grpc.aio.secure_channel(at(guard.port), channel_credentials(files[name]))
            return make(await stack.enter_async_context(channel))

        guard.subjects = await stub(SubjectServiceStub, "ann.example")
        guard.checks = await stub(ComplianceServiceStub, "gateway")
        ann, bob, sue = [
            await stub(CaseServiceStub, f"{name}.example") for name in ("ann", "bob", "sue")
        ]
        guard.known_customer = await guard.customer()
        merchant = await guard.merchant(account=None)
        await check(guard, merchant, "pay-1", amount=FOUR_EYES + 1)
        guard.cases = ann
        case = await the_case(guard, "pay-1")
        assert state(await approve(guard, case)) == "OPEN"
        assert (await failure(approve(guard, case))).reason == "CASE_NEEDS_ANOTHER_APPROVER"
        guard.cases = sue
        assert (await failure(approve(guard, case))).reason == "CLIENT_NOT_ALLOWED"
        guard.cases = bob
        approved = await approve(guard, case)
        assert (state(approved), approved.first_approver, approved.closed_by) == (
            "APPROVED",
            "ann.example",
            "bob.example",
        )
        allowed = await check(guard, merchant, "pay-1", amount=FOUR_EYES + 1)
        assert verdict(allowed) == "ALLOW"
        with psycopg.connect(guard.database_url) as connection:
            query = "SELECT record::jsonb #> '{facts,ruling,deciders}' FROM decision"
            rows = connection.execute(f"{query} ORDER BY sequence DESC LIMIT 1".encode())
            assert rows.fetchone() == (["ann.example", "bob.example"],)
