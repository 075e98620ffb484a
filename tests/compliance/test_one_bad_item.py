"""One decision, subject or list that cannot be read or handled leaves everything else running."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import grpc
import psycopg
from prometheus_client import REGISTRY

from compliance.cases.keeping import CaseKeeping
from compliance.checks.decision import decide
from compliance.checks.decision_log import (
    Answer,
    Appended,
    Decided,
    DecisionLog,
    Postponed,
    Undecided,
)
from compliance.checks.facts import CheckKind
from compliance.checks.facts_store import CheckInput, Found, loaded_of
from compliance.checks.history import HistoryFacts
from compliance.checks.policy import BUILT_IN
from compliance.v1 import decision_pb2
from compliance.v1.compliance_service_pb2 import CheckPaymentRequest
from compliance.v1.decision_service_pb2 import (
    GetDecisionRequest,
    ListDecisionsRequest,
    VerifyDecisionsRequest,
)
from money.v1.money_pb2 import Money
from tests.compliance.check_facts import AS_OF, paid, payment
from tests.compliance.conftest import OpenGuard
from tests.compliance.guard import Guard, codes, failure, unique, verdict

ROLE = "compliance_service"
MAX_ROUNDS = 2_000
MAX_WAIT_SECONDS = 60.0
CANNOT_BE_DECIDED = "cannot be decided"
# PostgreSQL has no such text, and the validation rules let none through.
CANNOT_BE_READ = "cannot be read"
COMES_AGAIN = "comes again"


def failed(items: str, failure: str) -> float:
    value = REGISTRY.get_sample_value(
        "loop_items_failed_total", {"items": items, "failure": failure}
    )
    assert value is not None
    return value


def undecided(name: str, note: str = "") -> Undecided:
    """A payment that is let through; `note` gets into its record."""
    facts = payment(country_codes=(note,), reference_id=name)
    asked = CheckInput(
        kind=CheckKind.PAYMENT,
        request_id=name,
        reference_id=name,
        merchant_id="\0" if note == CANNOT_BE_READ else "m",
        customer_id="c",
        currency_code="EUR",
        amount_minor=100,
        corridor="main",
        connected_account_id="",
        country_codes=(),
    )

    def allow(found: Found, history: tuple[HistoryFacts, ...]) -> Decided | Postponed:
        if note == CANNOT_BE_DECIDED:
            raise ValueError(note)
        if note == COMES_AGAIN:
            return Postponed(loaded_of(asked, found, ()))
        record = decide(
            replace(facts, history=history),
            BUILT_IN,
            decision_id=name,
            request_id=name,
            reference_id=name,
            record_time=AS_OF,
        )
        assert record.verdict == "ALLOW"
        return Decided(record)

    return Undecided(name, asked, b"", paid(reference_id=name), allow)


@asynccontextmanager
async def running(log: DecisionLog) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await log.close()


async def append_all(log: DecisionLog, notes: dict[str, str]) -> dict[str, object]:
    results = await asyncio.gather(
        *(log.append(undecided(name, note)) for name, note in notes.items()),
        return_exceptions=True,
    )
    return dict(zip(notes, results, strict=True))


async def test_a_decision_that_cannot_be_written_fails_alone(guard: Guard) -> None:
    notes = {f"dec_{number}": "" for number in range(20)}
    notes["dec_7"] = "\0"  # jsonb has no such character.
    notes["dec_13"] = CANNOT_BE_DECIDED
    notes["dec_16"] = CANNOT_BE_READ
    before = failed("decisions to write", "unhandled")
    log = DecisionLog(guard.database_url, ROLE, "test", CaseKeeping(timedelta(days=1), guard.clock))
    async with running(log):
        results = await append_all(log, notes)
        later = await log.append(undecided("dec_later"))
    kinds = {"dec_7": psycopg.DataError, "dec_13": ValueError, "dec_16": psycopg.DataError}
    for name, result in results.items():
        assert isinstance(result, kinds.get(name, Appended)), name
    assert isinstance(later, Appended)
    assert later.place.sequence == 18
    # Each of the others is counted once, however often its batch was halved.
    assert [facts.counts for facts in later.record.facts.history] == [(17,) * 4] * 3
    assert failed("decisions to write", "unhandled") == before + 3
    verified = await guard.decisions.VerifyDecisions(VerifyDecisionsRequest())
    assert (verified.valid, verified.last_sequence) == (True, 18)


async def test_what_is_postponed_leaves_no_trace_and_can_be_decided_later(guard: Guard) -> None:
    notes = {"dec_1": "", "dec_2": COMES_AGAIN, "dec_3": ""}
    log = DecisionLog(guard.database_url, ROLE, "test", CaseKeeping(timedelta(days=1), guard.clock))
    async with running(log):
        results = await append_all(log, notes)
        alone = await log.append(undecided("dec_2", COMES_AGAIN))
        later = await log.append(undecided("dec_2"))
        again = await log.append(undecided("dec_2", COMES_AGAIN))
    assert [type(result) for result in (*results.values(), alone)] == [
        *(Appended, Postponed, Appended, Postponed)
    ]
    assert isinstance(later, Appended)
    assert later.place.sequence == 3
    assert [facts.counts for facts in later.record.facts.history] == [(2,) * 4] * 3
    # What was decided is not looked at again.
    assert again is None


async def test_a_process_that_stands_still_under_the_logs_lock_is_left(guard: Guard) -> None:
    """The others go on; it has written nothing when it goes on itself, and decides anew."""
    merchant = await guard.merchant()
    decides, goes_on = threading.Event(), threading.Event()
    frozen = undecided("dec_frozen")

    def stand_still(found: Found, history: tuple[HistoryFacts, ...]) -> Decided | Postponed:
        decides.set()
        assert goes_on.wait(MAX_WAIT_SECONDS)
        return frozen.decide(found, history)

    async def process() -> Answer:
        log = DecisionLog(
            guard.database_url, ROLE, "frozen", CaseKeeping(timedelta(days=1), guard.clock)
        )
        async with running(log):
            return await log.append(replace(frozen, decide=stand_still))

    # A loop of its own, which stands still as a whole.
    other = asyncio.create_task(asyncio.to_thread(asyncio.run, process()))
    try:
        assert await asyncio.to_thread(decides.wait, MAX_WAIT_SECONDS)
        decision = await guard.check(merchant, timeout=MAX_WAIT_SECONDS)
    finally:
        goes_on.set()
    late = await other
    assert decision.sequence == 1
    assert isinstance(late, Appended)
    assert late.place.sequence == 2
    # Counted once, although it was decided twice.
    later = await guard.check(merchant)
    assert later.sequence == 3
    verified = await guard.decisions.VerifyDecisions(VerifyDecisionsRequest())
    assert (verified.valid, verified.last_sequence) == (True, 3)


async def test_a_log_that_closes_writes_what_still_waits(guard: Guard) -> None:
    log = DecisionLog(guard.database_url, ROLE, "test", CaseKeeping(timedelta(days=1), guard.clock))
    with psycopg.connect(guard.database_url) as connection:
        # Whoever writes waits for this lock.
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('compliance.decision', 0))"
        )
        # The first is being written, the second comes meanwhile.
        first = asyncio.create_task(log.append(undecided("dec_1")))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(log.append(undecided("dec_2")))
        await asyncio.sleep(0)
        closing = asyncio.create_task(log.close())
        await asyncio.sleep(0)
        assert not any(task.done() for task in (first, second, closing))
    await closing
    places = await asyncio.gather(first, second)
    assert [one.place.sequence for one in places if isinstance(one, Appended)] == [1, 2]


async def test_a_decision_that_cannot_be_read_is_listed_without_a_verdict(guard: Guard) -> None:
    merchant = await guard.merchant()
    asked = CheckPaymentRequest(
        request_id=unique("check"),
        payment_id="pay_unread",
        merchant_id=merchant,
        amount=Money(currency_code="EUR", minor_units=1),
        corridor="main",
    )
    made = [
        await guard.check(merchant),
        (await guard.checks.CheckPayment(asked)).decision,
        await guard.check(merchant),
    ]
    before = failed("decisions to list", "unhandled")
    with psycopg.connect(guard.database_url, autocommit=True) as connection:
        # As a newer version might have written it.
        connection.execute("ALTER TABLE decision DISABLE TRIGGER USER")
        connection.execute(
            "UPDATE decision SET record = replace(record, '\"facts\":', '\"new_facts\":')"
            " WHERE sequence = 2"
        )
        connection.execute("ALTER TABLE decision ENABLE TRIGGER USER")
    listed = (await guard.decisions.ListDecisions(ListDecisionsRequest())).decisions
    assert [listed[0], listed[2]] == [made[2], made[0]]
    assert listed[1] == decision_pb2.Decision(
        id=made[1].id,
        sequence=2,
        hash=made[1].hash,
        previous_hash=made[1].previous_hash,
    )
    assert failed("decisions to list", "unhandled") == before + 1
    for call in (
        guard.decisions.GetDecision(GetDecisionRequest(decision_id=made[1].id)),
        # Whoever asks for a verdict again gets none that nobody can read.
        guard.checks.CheckPayment(asked),
    ):
        error = await failure(call)
        assert error.code is grpc.StatusCode.INTERNAL
    assert verdict(await guard.check(merchant)) == "ALLOW"


def spoil(guard: Guard, subject: str) -> None:
    """A name that is none: nobody can screen it."""
    with psycopg.connect(guard.database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE subject SET aliases = ARRAY[NULL]::text[] WHERE subject_id = %s", [subject]
        )


def lag_behind(guard: Guard) -> None:
    """As if all had been screened by a replica that knew an older list only."""
    with psycopg.connect(guard.database_url, autocommit=True) as connection:
        connection.execute("UPDATE screening SET list_version = 0")


async def test_a_subject_that_cannot_be_screened_waits_and_holds_up_nobody(
    open_guard: OpenGuard,
) -> None:
    before = failed("subjects to screen", "unhandled")
    async with open_guard() as guard:
        merchants = [await guard.merchant() for _ in range(5)]
        spoil(guard, merchants[2])
        lag_behind(guard)
        for merchant in merchants:
            assert codes(await guard.check(merchant)) == ["SCREENING_PENDING"]
    async with open_guard(screening_interval_seconds=0.05) as guard:
        for merchant in [*merchants[:2], *merchants[3:]]:
            for _ in range(MAX_ROUNDS):
                if codes(await guard.check(merchant)) == []:
                    break
            else:
                raise AssertionError(f"{merchant} was not screened again")
        assert codes(await guard.check(merchants[2])) == ["SCREENING_PENDING"]
        # A new list comes into use, too; whom it was not compared with does not pass.
        (guard.sdn_folder / "sdn.csv").write_text(
            (guard.sdn_folder / "sdn.csv").read_text().replace("KVORTENHALMEN", "KVORTENHALM")
        )
        assert (await guard.load_list()).version.version == 2
        assert codes(await guard.check(merchants[0])) == []
        assert codes(await guard.check(merchants[2])) == ["SCREENING_PENDING"]
    assert failed("subjects to screen", "unhandled") > before


async def test_a_list_that_cannot_be_read_lets_nobody_pass_and_the_service_start(
    open_guard: OpenGuard,
) -> None:
    async with open_guard() as guard:
        merchant = await guard.merchant()
        assert codes(await guard.check(merchant)) == []
    before = failed("lists to follow", "unhandled")
    with psycopg.connect(guard.database_url, autocommit=True) as connection:
        connection.execute("UPDATE list_entry SET content = '{}'")
    async with open_guard() as guard:
        assert failed("lists to follow", "unhandled") > before
        # Known before, and screened against what is still in use.
        assert codes(await guard.check(merchant)) == []
        assert codes(await guard.check(await guard.merchant())) == ["SCREENING_PENDING"]
