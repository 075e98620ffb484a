"""What happened before, over a socket and a real database: seen by each other, cases, replay."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import psycopg

from compliance.checks.canonical import dumps, loads
from compliance.checks.decision import DecisionRecord, decide, replay
from compliance.checks.facts import ListFacts, Role
from compliance.checks.findings import OF_HISTORY
from compliance.checks.history import CountedPayment, Histories, History, Scope
from compliance.checks.policy import BUILT_IN, Policy
from compliance.policies.document import MAX_HISTORY_LIMITS
from compliance.v1 import (
    case_pb2,
    case_service_pb2,
    compliance_service_pb2,
    decision_pb2,
    decision_service_pb2,
    policy_pb2,
)
from compliance.v1 import policy_service_pb2 as pb
from money.v1.money_pb2 import Money
from runtime.errors import ReceivedError
from sandbox.polling import poll
from tests.compliance.check_facts import AS_OF, SDN, account, payment, subject
from tests.compliance.conftest import OpenGuard
from tests.compliance.guard import Guard, codes, failure, unique, verdict
from tests.compliance.test_cases import approve, check, the_case
from tests.compliance.test_policy_versions import activate

HOUR = policy_pb2.HISTORY_WINDOW_1H
CUSTOMER, MERCHANT, CARD = (
    policy_pb2.HISTORY_SCOPE_CUSTOMER,
    policy_pb2.HISTORY_SCOPE_MERCHANT,
    policy_pb2.HISTORY_SCOPE_CARD,
)
REVIEW, DENY = decision_pb2.VERDICT_REVIEW, decision_pb2.VERDICT_DENY
# As many as are replayed; docs/benchmarks.md has what ten thousand take.
DECISIONS = int(os.environ.get("REPLAYED_DECISIONS", "2000"))


def limit(over: int, **changes: Any) -> policy_pb2.HistoryLimit:
    fields = {
        "measure": policy_pb2.HISTORY_MEASURE_COUNT,
        "scope": CUSTOMER,
        "window": HOUR,
        "over": over,
        "outcome": REVIEW,
    }
    return policy_pb2.HistoryLimit(**{**fields, **changes})


async def draft_of(guard: Guard, limits: Sequence[policy_pb2.HistoryLimit], **fields: int) -> str:
    """A version like the built-in one, but with these limits on the history."""
    got = await guard.policies.GetPolicyVersion(
        pb.GetPolicyVersionRequest(policy_version=BUILT_IN.version)
    )
    document: policy_pb2.PolicyDocument = got.version.document
    del document.history_limits[:]
    document.history_limits.extend(limits)
    document.near_limit_percent = fields.get("near_limit_percent", 85)
    version = unique("policy")
    await guard.policies.CreatePolicyVersion(
        pb.CreatePolicyVersionRequest(
            request_id=unique("draft"), policy_version=version, document=document
        )
    )
    return version


async def with_limits(guard: Guard, *limits: policy_pb2.HistoryLimit) -> str:
    version = await draft_of(guard, limits)
    await activate(guard, version)
    return version


async def is_replayed(guard: Guard, decision: decision_pb2.Decision) -> bool:
    answer = await guard.decisions.ReplayDecision(
        decision_service_pb2.ReplayDecisionRequest(decision_id=decision.id)
    )
    return bool(answer.identical) and list(answer.reasons) == list(decision.reasons)


async def test_who_pays_too_often_waits_for_people_and_no_longer_than_the_window(
    open_guard: OpenGuard,
) -> None:
    async with open_guard(case_interval_seconds=0.02, case_idle_hours=100.0) as guard:
        merchant = await guard.merchant(account=None)
        guard.known_customer = await guard.customer()
        await with_limits(guard, limit(3))
        made = [await check(guard, merchant, f"pay-{number}", amount=1_000) for number in range(5)]
        assert [verdict(decision) for decision in made] == ["ALLOW"] * 3 + ["REVIEW"] * 2
        (reason,) = made[-1].reasons
        assert (codes(made[-1]), reason.subject_id) == (["CUSTOMER_VELOCITY"], guard.known_customer)
        # What waits is not counted: of both it would be the fourth.
        assert reason.internal_text.endswith("(COUNT CUSTOMER 1h over 3: 4)")
        assert "review" not in reason.merchant_text
        case = await the_case(guard, "pay-3")
        assert case.findings[0].way_out == case_pb2.WAY_OUT_APPROVAL

        # Others go on meanwhile; who approves has seen the payment.
        await approve(guard, case)
        approved = await check(guard, merchant, "pay-3", amount=1_000)
        assert (verdict(approved), approved.reasons[0].approved) == ("ALLOW", True)
        assert verdict(await check(guard, merchant, "pay-3", amount=1_001)) == "REVIEW"
        for decision in (*made, approved):
            assert await is_replayed(guard, decision)

        # The other one's case ends by itself when the hour is over.
        guard.clock.advance(timedelta(hours=1, minutes=5))

        async def closed() -> Any:
            request = case_service_pb2.ListCasesRequest(reference_id="pay-4")
            (found,) = (await guard.cases.ListCases(request)).cases
            return found

        ended = await poll(closed, lambda found: found.state != case_pb2.CASE_STATE_OPEN)
        assert ended.state == case_pb2.CASE_STATE_CLEARED
        assert verdict(await check(guard, merchant, "pay-4", amount=1_000)) == "ALLOW"


async def test_a_case_stays_as_it_is_while_its_figure_moves_a_little(guard: Guard) -> None:
    merchant = await guard.merchant(account=None)
    guard.known_customer = await guard.customer()
    version = await draft_of(guard, [limit(4, scope=MERCHANT)])
    await activate(guard, version)
    for number in range(4):
        await check(guard, merchant, f"pay-{number}", amount=1_000)
    await check(guard, merchant, "waits", amount=1_000)
    first = await the_case(guard, "waits")
    # Five were seen; of seven it is still the same, of eight it is another.
    revisions = []
    for number in range(3):
        count_one_more(guard, merchant, number)
        await check(guard, merchant, "waits", amount=1_000)
        revisions.append((await the_case(guard, "waits")).revision)
    assert [revision - first.revision for revision in revisions] == [0, 0, 1]


def count_one_more(guard: Guard, merchant: str, number: int) -> None:
    """A payment that somebody has approved."""
    now = guard.clock.now()
    paid = CountedPayment(f"other-{number}", merchant, "", "", "EUR", 1_000, now)
    with psycopg.connect(guard.database_url) as connection:
        (content,) = (
            connection.execute(
                "SELECT content FROM payment_history WHERE scope = 'MERCHANT' AND key = %s",
                [merchant],
            ).fetchone()
            or ()
        )
        history = History.loads(content).with_payment(paid, notes_customer=False)
        connection.execute(
            "UPDATE payment_history SET content = %s WHERE scope = 'MERCHANT' AND key = %s",
            [history.dumps(), merchant],
        )


async def test_checks_of_the_same_moment_see_each_other_in_any_process(
    open_guard: OpenGuard,
) -> None:
    async with open_guard() as first, open_guard() as second:
        merchant = await first.merchant(account=None)
        customers = [await first.customer() for _ in range(3)]
        version = await with_limits(first, limit(5), limit(9, scope=CARD, outcome=DENY))

        async def decided_there() -> Any:
            return await second.check(merchant, amount=1)

        await poll(decided_there, lambda decision: decision.policy_version == version)
        asked = [(guard, customer) for guard in (first, second) for customer in customers] * 8
        decisions = await asyncio.gather(
            *(
                guard.check(merchant, customer_id=customer, card_fingerprint="Xt5EWLLDS7FJjR1c")
                for guard, customer in asked
            )
        )
        allowed = [d.customer_id for d in decisions if verdict(d) == "ALLOW"]
        # Nine of the card, at most five of them of one customer.
        assert len(allowed) == 9
        assert max(allowed.count(customer) for customer in customers) <= 5
        assert {verdict(decision) for decision in decisions} == {"ALLOW", "DENY"}
        assert all([await is_replayed(first, decision) for decision in decisions])
        with psycopg.connect(first.database_url) as connection:
            (content,) = (
                connection.execute(
                    "SELECT content FROM payment_history WHERE scope = 'CARD'"
                ).fetchone()
                or ()
            )
        assert sum(bucket.payments for bucket in History.loads(content).buckets) == 9


async def test_a_payment_counts_once_however_often_it_is_asked_about(guard: Guard) -> None:
    merchant = await guard.merchant(account=None)
    customer = await guard.customer()
    await with_limits(guard, limit(1))
    guard.known_customer = customer
    first = await guard.check(merchant, customer_id=customer)
    again = [await check(guard, merchant, "pay-x", amount=1_000) for _ in range(3)]
    assert verdict(first) == "ALLOW"
    # The second waits, however often it is asked about.
    assert [verdict(decision) for decision in again] == ["REVIEW"] * 3
    guard.clock.advance(timedelta(hours=2))
    later = [await check(guard, merchant, "pay-x", amount=1_000) for _ in range(3)]
    assert [verdict(decision) for decision in later] == ["ALLOW"] * 3


async def test_a_repeated_request_is_not_counted_again(guard: Guard) -> None:
    merchant = await guard.merchant(account=None)
    request = compliance_service_pb2.CheckPaymentRequest(
        request_id="again",
        payment_id="pay-1",
        merchant_id=merchant,
        customer_id=await guard.customer(),
        amount=Money(currency_code="EUR", minor_units=1_000),
        corridor="main",
    )
    answers = await asyncio.gather(*(guard.checks.CheckPayment(request) for _ in range(9)))
    # A later release of the caller knows the card, too.
    request.card_fingerprint = "Xt5EWLLDS7FJjR1c"
    answers.append(await guard.checks.CheckPayment(request))
    assert len({answer.decision.id for answer in answers}) == 1
    request.amount.minor_units = 1_001
    error = await failure(guard.checks.CheckPayment(request))
    assert error.metadata["differing_fields"] == "amount.minor_units"
    with psycopg.connect(guard.database_url) as connection:
        rows = connection.execute("SELECT scope, content FROM payment_history").fetchall()
        (record,) = connection.execute("SELECT record FROM decision").fetchone() or ()
    assert {scope for scope, _ in rows} == {Scope.CUSTOMER, Scope.MERCHANT}
    assert {sum(b.payments for b in History.loads(text).buckets) for _, text in rows} == {1}
    assert [f.counts for f in loads(record, DecisionRecord).facts.history] == [(0,) * 4] * 2


BAD_LIMITS: list[tuple[dict[str, int], str]] = [
    ({"measure": 0}, "history_limits[0].measure"),
    ({"scope": 0}, "history_limits[0].scope"),
    ({"window": 0}, "history_limits[0].window"),
    ({"over": -1}, "history_limits[0].over"),
    ({"over": 2**53 + 1}, "history_limits[0].over"),
    ({"at_least": 1}, "history_limits[0].at_least"),
    ({"outcome": 0}, "history_limits[0].outcome"),
    (
        {"measure": policy_pb2.HISTORY_MEASURE_DORMANT_DAYS},
        "history_limits[0].window",
    ),
    ({"measure": policy_pb2.HISTORY_MEASURE_CUSTOMERS}, "history_limits[0].scope"),
    (
        {"measure": policy_pb2.HISTORY_MEASURE_CUSTOMERS, "scope": CARD, "over": 33},
        "history_limits[0].over",
    ),
]


def fields_of(error: ReceivedError) -> list[str]:
    return [violation.field for violation in error.violations]


async def test_a_limit_that_says_nothing_is_refused_with_its_place(guard: Guard) -> None:
    for changes, field in BAD_LIMITS:
        error = await failure(draft_of(guard, [limit(changes.pop("over", 3), **changes)]))
        assert fields_of(error) == [f"document.{field}"]


async def test_a_limit_is_there_once_and_near_the_limit_is_said(guard: Guard) -> None:
    twice = await failure(draft_of(guard, [limit(3), limit(4)]))
    assert fields_of(twice) == ["document.history_limits"]
    nothing = await failure(draft_of(guard, [limit(3)], near_limit_percent=0))
    assert fields_of(nothing) == ["document.near_limit_percent"]
    await draft_of(guard, [limit(3), limit(4, outcome=DENY)], near_limit_percent=100)
    many = [
        limit(3, measure=measure, scope=scope, window=window, outcome=outcome)
        for measure in (1, 2, 3, 4)
        for scope in (CUSTOMER, MERCHANT, CARD)
        for window in (1, 2, 3, 4)
        for outcome in (REVIEW, DENY)
    ]
    await draft_of(guard, many[:MAX_HISTORY_LIMITS])
    too_many = await failure(draft_of(guard, many[: MAX_HISTORY_LIMITS + 1]))
    assert fields_of(too_many) == ["document.history_limits"]


def policies() -> list[Policy]:
    """Versions with other limits on the history, each in force after the other."""
    stricter = tuple(replace(item, over=item.over // 50) for item in BUILT_IN.history_limits)
    denying = tuple(replace(item, outcome="DENY") for item in BUILT_IN.history_limits)
    return [
        BUILT_IN,
        replace(BUILT_IN, version="stricter", history_limits=stricter, near_limit_percent=40),
        replace(BUILT_IN, version="denying", history_limits=denying),
        replace(BUILT_IN, version="none", history_limits=()),
    ]


def decided_in_a_row(count: int, versions: Sequence[Policy]) -> Iterator[str]:
    """Records of payments one after the other, of a few customers with a few cards, while policies
    and lists change."""
    drawn, histories, now = Random(7), Histories(), AS_OF
    for place in range(count):
        now += timedelta(seconds=drawn.choice([0, 1, 60, 1_800]))
        policy = versions[place * len(versions) // count]
        customer, amount = f"customer-{drawn.randrange(40)}", drawn.choice([1_000, 9_000, 900_000])
        counted = CountedPayment(
            reference_id=f"pay-{place}",
            merchant_id="merchant-1",
            customer_id=customer,
            card=f"main/{drawn.randrange(60)}",
            currency_code="EUR",
            amount_minor=amount,
            count_time=now,
            is_near=policy.is_near_limit("EUR", amount),
        )
        record = decide(
            payment(
                customer_id=customer,
                customer=subject(Role.CUSTOMER, subject_id=customer),
                amount_minor=amount,
                lists=(ListFacts(SDN, 1 + place * 9 // count, now),),
                account=account(fetch_time=now),
                as_of=now,
                history=histories.facts_of(counted),
            ),
            policy,
            decision_id=f"dec_{place}",
            request_id=f"req-{place}",
            reference_id=counted.reference_id,
            record_time=now,
        )
        if record.verdict == "ALLOW":
            histories.count(counted)
        yield dumps(record)


def test_thousands_of_decisions_replay_bit_for_bit() -> None:
    versions = policies()
    by_name = {policy.version: policy for policy in versions}
    found: Counter[str] = Counter()
    for record in decided_in_a_row(DECISIONS, versions):
        stored = loads(record, DecisionRecord)
        assert dumps(stored) == record
        replayed, findings, identical = replay(stored, by_name[stored.policy_version])
        assert identical
        found[replayed.name] += 1
        found.update(finding.code.name for finding in findings)
    # Each kind of figure has decided something.
    assert min(found[name] for name in ("ALLOW", "REVIEW", "DENY")) > 100
    assert found.keys() >= {code.name for code in OF_HISTORY} - {"DORMANT_ACCOUNT_WAKES"}
