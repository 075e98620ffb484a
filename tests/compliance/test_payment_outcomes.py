"""What the gateway tells of payments is counted once, whatever happens, and checks go by it."""

import asyncio
from collections.abc import AsyncIterator, Collection
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY

from compliance.checks.canonical import loads
from compliance.checks.decision import DecisionRecord
from compliance.checks.rate_limits import RateLimit, RateMeasure
from compliance.checks.rates import RateFacts, RateWindow
from compliance.outcomes import store
from compliance.outcomes.following import RateWindows
from compliance.part import DATABASE_ROLE
from compliance.v1 import decision_pb2, decision_service_pb2, policy_pb2
from compliance.v1 import policy_service_pb2 as pb
from runtime.clock import ManualClock
from runtime.postgres import close_engine, create_engine
from sandbox.polling import poll
from tests.compliance.conftest import START, OpenGuard
from tests.compliance.guard import Guard, codes, failure, unique, verdict
from tests.compliance.payment_server import FakePayments
from tests.compliance.test_cases import approve, check, the_case
from tests.compliance.test_policy_versions import activate

FOLLOW_TIME = "compliance_outcomes_follow_timestamp_seconds"
TODAY = START.date().isoformat()
DAY = timedelta(days=1)
REVIEW, DENY = decision_pb2.VERDICT_REVIEW, decision_pb2.VERDICT_DENY


@pytest.fixture
def payments() -> FakePayments:
    """A gateway with the clock of the services, which stands."""
    return FakePayments(ManualClock(START))  # type: ignore[abstract]


@pytest.fixture
async def guard(open_guard: OpenGuard, payments: FakePayments) -> AsyncIterator[Guard]:
    async with open_guard(payments=payments) as opened:
        payments.clock = opened.clock
        yield opened


Row = tuple[Any, ...]


async def rows(guard: Guard, query: str, *values: Any) -> list[Row]:
    async with await psycopg.AsyncConnection.connect(guard.database_url) as connection:
        return await (await connection.execute(query, values)).fetchall()


async def place(guard: Guard) -> Row:
    (found,) = await rows(guard, "SELECT epoch, sequence FROM outcome_watch")
    return found


async def until_followed(guard: Guard, sequence: int, epoch: int = 0) -> None:
    await poll(lambda: place(guard), lambda found: found == (epoch, sequence))


async def days(guard: Guard) -> list[Row]:
    """Merchant, day, currency, payments, captured, refunds, refunded, disputes, disputed."""
    found = await rows(
        guard,
        """
        SELECT merchant_id, day::text, currency_code, payments, captured_minor::bigint, refunds,
            refunded_minor::bigint, disputes, disputed_minor::bigint
        FROM merchant_outcome ORDER BY merchant_id, day, currency_code
        """,
    )
    return [row for row in found if any(row[3:])]


async def facts_of(guard: Guard, decision: decision_pb2.Decision) -> RateFacts | None:
    """The figures that a decision went by."""
    ((record,),) = await rows(
        guard, "SELECT record FROM decision WHERE decision_id = %s", decision.id
    )
    return loads(record, DecisionRecord).facts.rates


async def test_what_a_check_goes_by(guard: Guard, payments: FakePayments) -> None:
    merchant = await guard.merchant()
    guard.clock.advance(-40 * DAY)
    payments.captured("p0", merchant, 500)
    guard.clock.advance(40 * DAY)
    payments.captured("p1", merchant, 1_000)
    payments.captured("p2", merchant, 70, "JPY")
    payments.refunded("p1", 300)
    payments.refunded("p1", 200)
    payments.disputed("p0", opened=START - 9 * DAY)
    payments.disputed("p2", state="WARNING_NEEDS_RESPONSE")
    payments.captured("p3", "somebody-else", 1)
    await until_followed(guard, len(payments.feed))
    before, opened = (START - 40 * DAY).date().isoformat(), (START - 9 * DAY).date().isoformat()
    assert await days(guard) == [
        ("somebody-else", TODAY, "EUR", 1, 1, 0, 0, 0, 0),
        (merchant, before, "EUR", 1, 500, 0, 0, 0, 0),
        (merchant, opened, "EUR", 0, 0, 0, 0, 1, 500),
        (merchant, TODAY, "EUR", 1, 1_000, 2, 500, 0, 0),
        (merchant, TODAY, "JPY", 1, 70, 0, 0, 0, 0),
    ]
    decision = await guard.check(merchant, currency="EUR")
    facts = await facts_of(guard, decision)
    assert facts == RateFacts(
        day=TODAY,
        follow_time=START,
        epoch=0,
        sequence=len(payments.feed),
        payments=(2, 2, 3),
        captured_minor=(1_000, 1_000, 1_500),
        refunds=(2, 2, 2),
        refunded_minor=(500, 500, 500),
        disputes=(0, 1, 1),
        disputed_minor=(0, 500, 500),
    )
    (piece,) = [
        piece
        for piece in decision.evidence
        if piece.kind == decision_pb2.EVIDENCE_KIND_PAYMENT_OUTCOMES
    ]
    assert piece.state == decision_pb2.EVIDENCE_STATE_FRESH
    assert piece.version == f"0/{len(payments.feed)}"
    # An inquiry that becomes a dispute is one; nothing personal was kept of any.
    payments.disputed("p2")
    await until_followed(guard, len(payments.feed))
    assert (await days(guard))[-1] == (merchant, TODAY, "JPY", 1, 70, 0, 0, 1, 70)
    nobody = await facts_of(guard, await guard.check(await guard.merchant()))
    assert nobody is not None
    assert (nobody.day, nobody.payments, nobody.disputes) == ("", (0, 0, 0), (0, 0, 0))
    replayed = await guard.decisions.ReplayDecision(
        decision_service_pb2.ReplayDecisionRequest(decision_id=decision.id)
    )
    assert replayed.identical


async def test_the_feed_is_followed_from_where_it_was_left(
    open_guard: OpenGuard, payments: FakePayments
) -> None:
    """A silent feed is known to have nothing up to now; of one that is refused nothing is known."""
    payments.is_refused = True
    async with open_guard(payments=payments) as guard:
        await poll(lambda: _watchers(payments), lambda found: found > 1)
        assert await follow_time(guard) is None
        decision = await guard.check("nobody")
        assert await facts_of(guard, decision) is None
        kinds = [piece.kind for piece in decision.evidence]
        assert decision_pb2.EVIDENCE_KIND_PAYMENT_OUTCOMES not in kinds
        payments.is_refused = False
        assert await poll(lambda: follow_time(guard), lambda found: found is not None) == START
        facts = await facts_of(guard, await guard.check("nobody"))
        assert facts is not None
        assert (facts.follow_time, facts.sequence, facts.day) == (START, 0, "")
        payments.captured("p1", "m")
        payments.refunded("p1", 100)
        await until_followed(guard, 2)
    payments.refunded("p1", 50)
    payments.captured("p2", "m")
    payments.tell_unreadable("p1")
    # What comes again changes nothing.
    payments.resends = 2
    async with open_guard(payments=payments) as guard:
        await until_followed(guard, 5)
        assert payments.watches[-1] == (0, 2)
        assert await days(guard) == [("m", TODAY, "EUR", 2, 2_000, 2, 150, 0, 0)]


async def test_a_restored_gateway_is_followed_from_where_its_feed_goes_on(
    guard: Guard, open_guard: OpenGuard, payments: FakePayments
) -> None:
    payments.captured("p1", "m")
    payments.captured("p2", "m", 50)
    payments.disputed("p2")
    await until_followed(guard, 3)
    restored = FakePayments(guard.clock, epoch=9, kept=1)  # type: ignore[abstract]
    restored.feed = payments.feed[:1]
    restored._payments = {"p1": payments._payments["p1"]}
    # It learns of the second one anew, and that it is another amount; of its dispute, too.
    restored.captured("p2", "m", 70)
    restored.disputed("p2")
    async with open_guard(payments=restored) as other:
        await until_followed(other, 3, epoch=9)
        assert restored.watches[:2] == [(0, 3), (0, 1)]
        assert await days(other) == [("m", TODAY, "EUR", 2, 1_070, 0, 0, 1, 70)]


async def test_two_replicas_count_once(open_guard: OpenGuard, payments: FakePayments) -> None:
    async with (
        open_guard(payments=payments) as one,
        open_guard(payments=payments) as other,
    ):
        await poll(lambda: _watchers(payments), lambda watchers: watchers >= 2)
        for number in range(60):
            payments.captured(f"p{number}", f"m{number % 3}", 10)
            if number % 2:
                payments.refunded(f"p{number}", 3)
            if number % 10 == 0:
                payments.disputed(f"p{number}")
            if number % 7 == 0:
                # So that batches are of many sizes.
                await asyncio.sleep(0)
        await until_followed(one, len(payments.feed))
        found = await days(other)
        assert [row[0] for row in found] == ["m0", "m1", "m2"]
        assert [sum(row[place] for row in found) for place in range(3, 9)] == [
            *(60, 600, 30, 90),
            *(6, 60),
        ]
        for row in found:
            facts = await facts_of(other, await other.check(row[0]))
            assert facts is not None
            assert facts.payments[0] == 20


# Who waits for the windows' table, which a test holds.
WAITING = "SELECT pid FROM pg_locks WHERE relation = 'merchant_rates'::regclass AND NOT granted"


async def _watchers(payments: FakePayments) -> int:
    return len(payments.watches)


async def test_whoever_is_killed_has_counted_and_moved_on_or_neither(
    guard: Guard, payments: FakePayments
) -> None:
    """The connection is lost when the days are written and the place in the feed is not."""
    payments.captured("p1", "m")
    await until_followed(guard, 1)
    async with await psycopg.AsyncConnection.connect(
        guard.database_url, autocommit=True
    ) as connection:
        async with connection.transaction():
            # Windows are added up after the days and before the place.
            await connection.execute("LOCK TABLE merchant_rates IN EXCLUSIVE MODE")
            payments.captured("p2", "m")
            payments.refunded("p2", 10)
            ((pid,),) = await poll(lambda: rows(guard, WAITING), lambda found: len(found) == 1)
            assert await place(guard) == (0, 1)
            await connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        await until_followed(guard, 3)
        assert await days(guard) == [("m", TODAY, "EUR", 2, 2_000, 1, 10, 0, 0)]
        # The database is set back to the first of them while the service runs.
        await connection.execute("DELETE FROM payment_outcome WHERE payment_id = 'p2'")
        await connection.execute(
            "UPDATE merchant_outcome SET payments = 1, captured_minor = 1000, refunds = 0,"
            " refunded_minor = 0"
        )
        await connection.execute("UPDATE outcome_watch SET sequence = 1")
    payments.captured("p3", "m")
    await until_followed(guard, 4)
    assert payments.watches[-1] == (0, 1)
    assert await days(guard) == [("m", TODAY, "EUR", 3, 3_000, 1, 10, 0, 0)]


async def test_what_cannot_be_read_is_read_later_and_refunds_and_disputes_are_taken_back(
    guard: Guard, payments: FakePayments
) -> None:
    payments.captured("p1", "m")
    payments.refunded("p1", 300)
    await until_followed(guard, 2)
    payments.disputes_are_away = True
    watches = len(payments.watches)
    payments.disputed("p1")
    await poll(lambda: _watchers(payments), lambda found: found > watches)
    assert await place(guard) == (0, 2)
    payments.disputes_are_away = False
    await until_followed(guard, 3)
    assert await days(guard) == [("m", TODAY, "EUR", 1, 1_000, 1, 300, 1, 1_000)]
    guard.clock.advance(DAY)
    # The first refund fails after all; settled before it became a chargeback, the dispute is none.
    payments.refunded("p1", 100)
    payments.refunded("p1", -300)
    payments.disputed("p1", state="PREVENTED")
    await until_followed(guard, 6)
    tomorrow = (START + DAY).date().isoformat()
    assert await days(guard) == [
        ("m", TODAY, "EUR", 1, 1_000, 0, 0, 0, 0),
        ("m", tomorrow, "EUR", 0, 0, 1, 100, 0, 0),
    ]


async def follow_time(guard: Guard) -> Any:
    ((found,),) = await rows(guard, "SELECT follow_time FROM outcome_watch")
    return found


async def test_windows_move_on_with_the_day(
    guard: Guard, payments: FakePayments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOVE_BATCH", 2)
    for number in range(3):
        payments.captured(f"p{number}", f"m{number}")
    await until_followed(guard, 3)
    engine = create_engine(
        guard.database_url, role=DATABASE_ROLE, pool_size=2, application_name="test"
    )
    windows = RateWindows(engine, guard.clock)
    sizes: list[int] = []
    refresh = store.refresh

    async def noted(connection: Any, merchants: Collection[str], today: date) -> None:
        sizes.append(len(merchants))
        await refresh(connection, merchants, today)

    monkeypatch.setattr(store, "refresh", noted)
    try:
        seen = []
        assert await windows.round() is False
        assert REGISTRY.get_sample_value(FOLLOW_TIME) == START.timestamp()
        for advance in (6, 1, 22, 1, 59, 1):
            guard.clock.advance(advance * DAY)
            # A batch at a time, by this loop or the service's own.
            assert not [await windows.round() for _ in range(3)][-1]
            facts = await facts_of(guard, await guard.check("m1"))
            assert facts is not None
            seen.append(facts.payments)
        assert seen == [(1, 1, 1), *[(0, 1, 1)] * 2, *[(0, 0, 1)] * 2, (0, 0, 0)]
        assert max(sizes) == 2
        # Of whom nothing is in any window there is no row; the days stay.
        assert await rows(guard, "SELECT merchant_id FROM merchant_rates") == []
        assert len(await days(guard)) == 3
    finally:
        await close_engine(engine)


def limit_of(**changes: Any) -> policy_pb2.RateLimit:
    fields = {
        "measure": policy_pb2.RATE_MEASURE_CHARGEBACKS,
        "window": policy_pb2.RATE_WINDOW_30D,
        "over_basis_points": 1_000,
        "at_least_payments": 10,
        "outcome": REVIEW,
    }
    return policy_pb2.RateLimit(**{**fields, **changes})


async def draft_of(guard: Guard, *limits: policy_pb2.RateLimit, **changes: Any) -> str:
    """A version like the built-in one, but with these limits on rates."""
    got = await guard.policies.GetPolicyVersion(
        pb.GetPolicyVersionRequest(policy_version="built-in-5")
    )
    document: Any = got.version.document
    for name in ("rate_limits", *changes):
        document.ClearField(name)
    document.MergeFrom(policy_pb2.PolicyDocument(rate_limits=limits, **changes))
    version = unique("policy")
    await guard.policies.CreatePolicyVersion(
        pb.CreatePolicyVersionRequest(
            request_id=unique("draft"), policy_version=version, document=document
        )
    )
    return version


async def test_a_rate_over_a_limit_waits_for_people_and_over_another_is_denied(
    guard: Guard, payments: FakePayments
) -> None:
    merchant = await guard.merchant()
    limits = limit_of(), limit_of(over_basis_points=2_500, outcome=DENY)
    version = await draft_of(guard, *limits)
    await activate(guard, version, "built-in-5")
    for number in range(10):
        payments.captured(f"p{number}", merchant)
    payments.disputed("p0")
    await until_followed(guard, 11)

    async def checked() -> decision_pb2.Decision:
        decision: decision_pb2.Decision = await check(guard, merchant, "pay-x", amount=1_000)
        return decision

    await poll(lambda: checked(), lambda decision: decision.policy_version == version)
    assert verdict(await checked()) == "ALLOW"
    payments.disputed("p1")
    await until_followed(guard, 12)
    waits = await checked()
    assert (verdict(waits), codes(waits)) == ("REVIEW", ["CHARGEBACK_RATE"])
    assert waits.reasons[0].subject_id == merchant
    await approve(guard, await the_case(guard, "pay-x"))
    assert verdict(await checked()) == "ALLOW"
    # One payment more makes the rate smaller; what is denied, nobody has approved.
    payments.disputed("p2")
    await until_followed(guard, 13)
    denied = await checked()
    assert (verdict(denied), codes(denied)) == ("DENY", ["CHARGEBACK_RATE"] * 2)
    for number in range(10, 13):
        payments.captured(f"p{number}", merchant)
    await until_followed(guard, 16)
    assert verdict(await checked()) == "ALLOW"
    assert verdict(await check(guard, merchant, "pay-y", amount=1_000)) == "REVIEW"
    await _limits_that_say_nothing_are_refused_with_their_place(guard)


async def _limits_that_say_nothing_are_refused_with_their_place(guard: Guard) -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        ({"measure": 0}, "measure"),
        ({"window": 0}, "window"),
        ({"outcome": 0}, "outcome"),
        ({"over_basis_points": -1}, "over_basis_points"),
        ({"over_basis_points": 1_000_001}, "over_basis_points"),
        ({"at_least_payments": 0}, "at_least_payments"),
        ({"at_least_payments": 1_000_001}, "at_least_payments"),
    ]
    for changes, field in bad:
        error = await failure(draft_of(guard, limit_of(**changes)))
        assert [v.field for v in error.violations] == [f"document.rate_limits[0].{field}"]
    twice = await failure(draft_of(guard, limit_of(), limit_of(over_basis_points=2)))
    assert [v.field for v in twice.violations] == ["document.rate_limits"]
    ageless = await failure(
        draft_of(guard, rates_max_age=None, unknown_rates_outcome=decision_pb2.VERDICT_REVIEW)
    )
    assert [v.field for v in ageless.violations] == ["document.unknown_rates_outcome"]
    edges = (
        limit_of(over_basis_points=0, at_least_payments=1),
        limit_of(over_basis_points=1_000_000, at_least_payments=1_000_000, outcome=DENY),
    )
    version = await draft_of(guard, *edges, unknown_rates_outcome=DENY)
    got = await guard.policies.GetPolicyVersion(pb.GetPolicyVersionRequest(policy_version=version))
    assert list(got.version.document.rate_limits) == list(edges)
    assert got.version.document.unknown_rates_outcome == DENY
    measures = [
        (measure, window, outcome)
        for measure in policy_pb2.RateMeasure.values()[1:]
        for window in policy_pb2.RateWindow.values()[1:]
        for outcome in decision_pb2.Verdict.values()[1:]
    ]
    assert len(measures) == len(RateMeasure) * len(RateWindow) * 3
    every = [limit_of(measure=m, window=w, outcome=o) for m, w, o in measures]
    await draft_of(guard, *every)


def test_a_limit_names_what_it_measures() -> None:
    limit = RateLimit(RateMeasure.REFUNDED_AMOUNT, RateWindow.QUARTER, 1, 1, "ALLOW")
    assert limit.name == "REFUNDED_AMOUNT 90d"
