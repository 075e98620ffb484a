"""Policies from draft to force: stored, tried over the past, in the shadow, brought into force."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import psycopg
import pytest

from compliance.checks.decision_store import decisions_after
from compliance.checks.policy import BUILT_IN as BUILT_IN_POLICY
from compliance.policies import backtest as backtests
from compliance.policies import judging
from compliance.policies.comparison import MAX_NAMED
from compliance.policies.judging import Judge, JudgeGoneError, open_judge
from compliance.policies.shadowing import PAGE_SIZE
from compliance.policies.store import MAX_SHADOWS
from compliance.v1 import decision_pb2, decision_service_pb2, policy_pb2
from compliance.v1 import policy_service_pb2 as pb
from sandbox.polling import poll
from tests.compliance.conftest import OpenGuard
from tests.compliance.guard import Guard, failure, unique

ALLOW, REVIEW, DENY = (
    decision_pb2.VERDICT_ALLOW,
    decision_pb2.VERDICT_REVIEW,
    decision_pb2.VERDICT_DENY,
)
BUILT_IN = "built-in-5"
LARGE = policy_pb2.PolicyRule(name="large", expression="amount_minor > 5000", verdict=REVIEW)
HUGE = policy_pb2.PolicyRule(name="huge", expression="amount_minor > 7000", verdict=DENY)


async def document(guard: Guard, *rules: policy_pb2.PolicyRule) -> policy_pb2.PolicyDocument:
    """What is in force, with rules."""
    got = await guard.policies.GetPolicyVersion(pb.GetPolicyVersionRequest(policy_version=BUILT_IN))
    found: policy_pb2.PolicyDocument = got.version.document
    found.rules.extend(rules)
    return found


async def draft(guard: Guard, *rules: policy_pb2.PolicyRule, version: str = "") -> str:
    version = version or unique("policy")
    made = await guard.policies.CreatePolicyVersion(
        pb.CreatePolicyVersionRequest(
            request_id=unique("draft"),
            policy_version=version,
            document=await document(guard, *rules),
        )
    )
    assert made.version.state == policy_pb2.POLICY_STATE_DRAFT
    return version


async def activate(
    guard: Guard, version: str, replaced: str = BUILT_IN
) -> policy_pb2.PolicyVersion:
    request = pb.ActivatePolicyVersionRequest(
        request_id=unique("activate"), policy_version=version, replaced_policy_version=replaced
    )
    answer = await guard.policies.ActivatePolicyVersion(request)
    activated: policy_pb2.PolicyVersion = answer.version
    return activated


async def shadow(guard: Guard, version: str) -> None:
    await guard.policies.ShadowPolicyVersion(
        pb.ShadowPolicyVersionRequest(request_id=unique("shadow"), policy_version=version)
    )


async def retire(guard: Guard, version: str) -> None:
    await guard.policies.RetirePolicyVersion(
        pb.RetirePolicyVersionRequest(request_id=unique("retire"), policy_version=version)
    )


async def backtest(guard: Guard, version: str) -> pb.BacktestPolicyVersionResponse:
    told = [
        response
        async for response in guard.policies.BacktestPolicyVersion(
            pb.BacktestPolicyVersionRequest(policy_version=version)
        )
    ]
    assert [response.done for response in told] == [False] * (len(told) - 1) + [True]
    last: pb.BacktestPolicyVersionResponse = told[-1]
    return last


async def test_a_version_in_force_decides_and_the_one_before_comes_back(
    open_guard: OpenGuard,
) -> None:
    async with open_guard() as guard, open_guard() as other:
        merchant = await guard.merchant()
        customer = await guard.customer()
        version = await draft(guard, LARGE, HUGE)
        assert (await guard.check(merchant, amount=9_000, customer_id=customer)).verdict == ALLOW
        activated = await activate(guard, version)
        assert activated.state == policy_pb2.POLICY_STATE_ACTIVE
        assert activated.HasField("activate_time")
        assert activated.document.rules == [LARGE, HUGE]
        verdicts = [
            (await guard.check(merchant, amount=amount, customer_id=customer)).verdict
            for amount in (5_000, 5_001, 7_000, 7_001)
        ]
        assert verdicts == [ALLOW, REVIEW, REVIEW, DENY]

        # In another process, too, without a restart.
        async def decided_there() -> Any:
            return await other.check(merchant, amount=9_000, customer_id=customer)

        denied = await poll(decided_there, lambda decision: decision.verdict == DENY)
        assert denied.policy_version == version
        texts = [reason.internal_text for reason in denied.reasons]
        assert [text.rpartition(" ")[2] for text in texts] == ["(huge)", "(large)"]
        replayed = await guard.decisions.ReplayDecision(
            decision_service_pb2.ReplayDecisionRequest(decision_id=denied.id)
        )
        assert replayed.identical

        await activate(guard, BUILT_IN, replaced=version)
        assert (await guard.check(merchant, amount=9_000, customer_id=customer)).verdict == ALLOW
        states = await guard.policies.ListPolicyVersions(
            pb.ListPolicyVersionsRequest(state=policy_pb2.POLICY_STATE_RETIRED)
        )
        assert [item.policy_version for item in states.versions] == [version]


async def test_a_backtest_tells_what_would_have_been_decided_otherwise(guard: Guard) -> None:
    merchant, customer = await guard.merchant(), await guard.customer()
    decided = [
        await guard.check(merchant, amount=amount, currency=currency, customer_id=customer)
        for amount, currency in (
            *((4_000, "EUR"), (6_000, "EUR"), (6_500, "EUR"), (8_000, "USD")),
            *((20_000_00, "EUR"),),
        )
    ]
    before = [item.verdict for item in decided]
    assert before == [ALLOW, ALLOW, ALLOW, ALLOW, REVIEW]
    version = await draft(guard, LARGE, HUGE)
    found = await backtest(guard, version)
    assert (found.judged_count, found.decision_count, found.unreadable_count) == (5, 5, 0)
    changes = [
        (c.decided, c.candidate, c.currency_code, c.decision_count, c.amount_minor)
        for c in found.changes
    ]
    assert changes == [
        (ALLOW, DENY, "USD", 1, 8_000),
        (ALLOW, REVIEW, "EUR", 2, 12_500),
        (REVIEW, DENY, "EUR", 1, 20_000_00),
    ]
    assert [item.decision_id for item in found.changed_decisions] == [
        decided[index].id for index in (4, 3, 2, 1)
    ]
    huge = decision_pb2.REASON_CODE_POLICY_RULE_DENIED
    assert found.changed_decisions[0].candidate_reasons[0] == huge
    # It changed nothing.
    assert not (await backtest(guard, BUILT_IN)).changes
    assert (await guard.check(merchant, amount=8_000, customer_id=customer)).verdict == ALLOW


@pytest.mark.parametrize("count", [1, 4, 5])
async def test_a_backtest_reads_a_page_at_a_time_and_asks_a_window_at_a_time(
    guard: Guard, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """However long the log is, no more than that is in memory."""
    page, window, read, asked = 4, 2, [0], [0]
    monkeypatch.setattr(backtests, "PAGE_SIZE", page)
    monkeypatch.setattr(judging, "WINDOW", window)
    answer, ask = Judge._answer, Judge._ask
    waiting = 0

    async def reading(connection: Any, after: int, limit: int) -> list[tuple[int, str]]:
        found = await decisions_after(connection, after, limit)
        read.append(len(found))
        return found

    async def asking(judge: Judge, what: object) -> None:
        nonlocal waiting
        await ask(judge, what)
        if what[0] != "policy":  # type: ignore[index]
            waiting += 1
            asked.append(waiting)

    async def answering(judge: Judge) -> Any:
        nonlocal waiting
        answered = await answer(judge)
        waiting -= 1
        return answered

    monkeypatch.setattr(backtests, "decisions_after", reading)
    monkeypatch.setattr(Judge, "_ask", asking)
    monkeypatch.setattr(Judge, "_answer", answering)
    merchant = await guard.merchant()
    for _ in range(count):
        await guard.check(merchant, amount=6_000)
    found = await backtest(guard, await draft(guard, LARGE))
    assert (found.judged_count, found.changes[0].decision_count) == (count, count)
    assert [item.sequence for item in found.changed_decisions] == list(range(count, 0, -1))
    assert sum(read) == count
    assert max(read) == min(count, page)
    assert max(asked) == min(count, window)
    assert waiting == 0


async def test_what_cannot_be_read_is_counted_and_its_neighbours_are_judged(guard: Guard) -> None:
    merchant = await guard.merchant()
    for _ in range(3):
        await guard.check(merchant, amount=6_000)
    with psycopg.connect(guard.database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE decision DISABLE TRIGGER USER")
        connection.execute(
            "UPDATE decision SET record = jsonb_set(record::jsonb, '{facts,kind}', '\"GIFT\"')"
            " WHERE sequence = 2"
        )
    found = await backtest(guard, await draft(guard, LARGE))
    assert (found.judged_count, found.unreadable_count) == (3, 1)
    assert [item.sequence for item in found.changed_decisions] == [3, 1]


async def test_the_judge_ends_with_who_asked_it() -> None:
    with pytest.raises(TimeoutError):
        async with open_judge() as judge:
            raise TimeoutError
    assert judge.process.returncode is not None


async def test_a_judge_that_is_gone_is_told_as_such() -> None:
    async with open_judge() as judge:
        judge.process.kill()
        judge.process.wait()
        with pytest.raises(JudgeGoneError):
            await judge.judge(BUILT_IN_POLICY, [(1, "{}")])


async def test_a_backtest_that_is_given_up_lets_the_next_one_go(guard: Guard) -> None:
    await guard.check(await guard.merchant())
    request = pb.BacktestPolicyVersionRequest(policy_version=BUILT_IN)
    given_up = guard.policies.BacktestPolicyVersion(request)
    given_up.cancel()
    assert (await backtest(guard, BUILT_IN)).judged_count == 1


async def test_a_shadow_judges_what_is_decided_after_it_and_changes_none(guard: Guard) -> None:
    merchant, customer = await guard.merchant(), await guard.customer()
    await guard.check(merchant, amount=6_000, customer_id=customer)
    version = await draft(guard, LARGE)
    await shadow(guard, version)
    count = MAX_NAMED + 1
    for _ in range(count):
        # So many of one customer would wait for people.
        decision = await guard.check(merchant, amount=6_000)
        assert decision.verdict == ALLOW
        assert decision.policy_version == BUILT_IN

    async def report() -> pb.GetShadowReportResponse:
        got: pb.GetShadowReportResponse = await guard.policies.GetShadowReport(
            pb.GetShadowReportRequest(policy_version=version)
        )
        return got

    seen = await poll(report, lambda found: found.judged_count == count)
    assert seen.through_sequence == count + 1
    (change,) = seen.changes
    assert (change.decided, change.candidate) == (ALLOW, REVIEW)
    assert (change.decision_count, change.amount_minor) == (count, 6_000 * count)
    # The newest are named.
    assert [item.sequence for item in seen.changed_decisions] == list(range(count + 1, 2, -1))
    # Nothing follows it any more; what it saw stays.
    await retire(guard, version)
    await guard.check(merchant, amount=6_000, customer_id=customer)
    assert (await report()).judged_count == count
    # It begins anew.
    await shadow(guard, version)
    assert (await report()).judged_count == 0
    assert count < PAGE_SIZE, "more than a page is the backtest's to show"


async def test_what_states_allow(guard: Guard) -> None:
    version = await draft(guard)

    async def refused(call: Callable[[], Awaitable[Any]]) -> tuple[str, dict[str, str]]:
        error = await failure(call())
        return error.reason, dict(error.metadata)

    again = await refused(lambda: draft(guard, version=version))
    assert again == ("POLICY_VERSION_ALREADY_EXISTS", {"policy_version": version})
    for call in (lambda: shadow(guard, BUILT_IN), lambda: retire(guard, BUILT_IN)):
        state = {"policy_version": BUILT_IN, "state": "ACTIVE"}
        assert await refused(call) == ("INVALID_POLICY_STATE", state)
    in_force = await refused(lambda: activate(guard, BUILT_IN))
    assert in_force == ("INVALID_POLICY_STATE", {"policy_version": BUILT_IN, "state": "ACTIVE"})
    replaced = await refused(lambda: activate(guard, version, replaced=version))
    assert replaced == ("POLICY_REPLACED", {"policy_version": BUILT_IN})
    await retire(guard, version)
    retired = {"policy_version": version, "state": "RETIRED"}
    assert await refused(lambda: retire(guard, version)) == ("INVALID_POLICY_STATE", retired)
    for name in [version, *[await draft(guard) for _ in range(MAX_SHADOWS - 1)]]:
        await shadow(guard, name)
    one_more = await draft(guard)
    too_many = await refused(lambda: shadow(guard, one_more))
    assert too_many == ("TOO_MANY_SHADOWS", {"limit": str(MAX_SHADOWS)})
    unknown = await refused(lambda: activate(guard, "none"))
    assert unknown == ("POLICY_VERSION_NOT_FOUND", {"policy_version": "none"})


@pytest.mark.parametrize(
    ("change", "field", "why"),
    [
        (
            lambda d: d.rules.add(name="r", expression="amount > 1", verdict=DENY),
            "document.rules[0].expression",
            "undeclared reference to 'amount'",
        ),
        (
            lambda d: d.rules.add(name="r", expression="true", verdict=ALLOW),
            "document.rules[0].verdict",
            "is neither REVIEW nor DENY",
        ),
        (
            lambda d: d.rules.extend([LARGE, LARGE]),
            "document.rules",
            "[1].name: large is there twice",
        ),
        (lambda d: d.limits.add(currency_code="XYZ"), "limits", "is no ISO 4217 currency"),
        (
            lambda d: setattr(d.limits[0], "deny_over_minor", 1),
            "document.limits[0].deny_over_minor",
            "is less than review_over_minor",
        ),
        (
            lambda d: d.list_max_age.FromSeconds(60),
            "document.list_max_age",
            "is less than list_warn_age",
        ),
        (
            lambda d: setattr(d.list_max_age, "seconds", 2**62),
            "document.list_max_age",
            "",
        ),
        (lambda d: d.ClearField("snapshot_max_age"), "document.snapshot_max_age", "is required"),
        (lambda d: setattr(d, "match_threshold", 1.5), "document.match_threshold", "within 0.5"),
        (
            lambda d: d.prohibited_country_codes.append("de"),
            "document.prohibited_country_codes",
            "",
        ),
    ],
)
async def test_a_document_that_makes_no_sense_is_not_stored(
    guard: Guard, change: Callable[[Any], Any], field: str, why: str
) -> None:
    wrong = await document(guard)
    change(wrong)
    error = await failure(
        guard.policies.CreatePolicyVersion(
            pb.CreatePolicyVersionRequest(
                request_id=unique("draft"), policy_version="wrong-1", document=wrong
            )
        )
    )
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = error.violations
    assert field in violation.field
    assert why in violation.description
    drafts = pb.ListPolicyVersionsRequest(state=policy_pb2.POLICY_STATE_DRAFT)
    assert not (await guard.policies.ListPolicyVersions(drafts)).versions


async def test_names_and_thresholds_of_releases(guard: Guard) -> None:
    request = pb.CreatePolicyVersionRequest(
        request_id=unique("draft"), policy_version="built-in-9", document=await document(guard)
    )
    error = await failure(guard.policies.CreatePolicyVersion(request))
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    request.policy_version = "own-1"
    request.document.match_threshold = 0.9
    error = await failure(guard.policies.CreatePolicyVersion(request))
    assert (error.reason, dict(error.metadata)) == (
        "MATCH_THRESHOLD_DIFFERS",
        {"match_threshold": "0.85"},
    )
