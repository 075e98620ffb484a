"""Adjustments: what they may post, who agrees, and that each is posted once, whatever is killed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors

from ledger.v1.direction_pb2 import DIRECTION_CREDIT, DIRECTION_DEBIT
from ledger.v1.transaction_pb2 import Transaction
from ledger.v1.transaction_reads_pb2 import ListTransactionsRequest
from reconciliation.adjusting import store
from reconciliation.adjusting.adjustment import (
    AdjustmentRules,
    AdjustmentState,
    ledger_request_id,
)
from reconciliation.adjusting.asking import Asking
from reconciliation.adjusting.posting import MATCHED_OTHERWISE, AdjustmentPoster
from reconciliation.breaks.deciding import Deciding
from reconciliation.finance_policy import BUNDLED_FINANCE, FinanceError, read_finance
from reconciliation.matching.item import ItemKey, Leg, Source
from reconciliation.sources.ledger import items_of
from reconciliation.v1 import adjustment_service_pb2 as pb
from reconciliation.v1 import reconciliation_pb2 as messages
from reconciliation.v1.adjustment_service_pb2_grpc import AdjustmentServiceStub
from runtime.loops import is_unavailable
from runtime.notifier import Notifier
from sandbox.polling import poll
from tests.ledger.client import LedgerClient
from tests.ledger.running import serving
from tests.plugin import NewDatabase
from tests.reconciliation.books import Books
from tests.reconciliation.people import breaks, refusal
from tests.reconciliation.test_adjustment_rules import AT_STRIPE, BANK, FEES, PLACE, RULES
from tests.reconciliation.test_matching_enforcement import Kill
from tests.reconciliation.town import Town, town_of
from tests.reconciliation.worlds import item, key

FINANCE = (
    BUNDLED_FINANCE.read_text()
    .replace("accounts = []", 'accounts = ["*/*/stripe/**", "*/*/fees", "main/eur/bank"]')
    .replace("[adjustments.four_eyes_over]", "[adjustments.four_eyes_over]\nEUR = 50")
)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('after = "4 h"', 'after = "4 weeks"', r"\[closing\] after: is not"),
        ('after = "4 h"', 'after = "32 d"', "is more than 31 d"),
        ("accounts = []", 'accounts = "a/b"', "is not a list of texts"),
        ("accounts = []", 'accounts = ["a/f*"]', r"a/f\* has a part"),
        ("[adjustments.four_eyes_over]", "[adjustments.four_eyes_over]\nEURO = 1", "EURO is no"),
        ("[adjustments.four_eyes_over]", "[adjustments.four_eyes_over]\nEUR = -1", "of 0 or more"),
        ("[adjustments.four_eyes_over]", "", "lacks four_eyes_over"),
        ("[closing]", "more = 1\n[closing]", "does not know more"),
        ('version = "', 'version = ["', "cannot be read as TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_said(old: str, new: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "finance.toml"
    file.write_text(BUNDLED_FINANCE.read_text().replace(old, new))
    with pytest.raises(FinanceError, match=why):
        read_finance(file)
    assert read_finance().adjustments == AdjustmentRules()
    with pytest.raises(FinanceError, match="cannot be read"):
        read_finance(tmp_path / "none.toml")


@pytest.fixture
async def town(
    books: Books, reconciliation_url: str, service_database: NewDatabase, tmp_path: Path
) -> AsyncIterator[Town]:
    file = tmp_path / "finance.toml"
    file.write_text(FINANCE)
    async with town_of(
        books,
        reconciliation_url,
        service_database("ledger"),
        tmp_path / "certificates",
        finance_file=file,
    ) as town:
        await town.ledger.account(FEES)
        await town.ledger.account(BANK)
        yield town


def asked(
    number: int, break_id: int, counter: str = FEES, balance: str = AT_STRIPE
) -> pb.AdjustBreakRequest:
    place = pb.AdjustmentAccounts(
        currency_code="EUR", balance_account=balance, counter_account=counter
    )
    return pb.AdjustBreakRequest(
        request_id=f"adjust-{number}", break_id=break_id, accounts=[place], note="Stripe is right"
    )


async def ended(stub: Any, adjustment_id: int) -> pb.Adjustment:
    """The adjustment when it is completed or has failed."""

    async def read() -> pb.Adjustment:
        request = pb.GetAdjustmentRequest(adjustment_id=adjustment_id)
        found: pb.Adjustment = (await stub.GetAdjustment(request)).adjustment
        return found

    last = (pb.ADJUSTMENT_STATE_COMPLETED, pb.ADJUSTMENT_STATE_FAILED)
    return await poll(read, lambda found: found.state in last)


async def test_the_difference_is_posted_and_completes_the_match(town: Town) -> None:
    ann = await town.stub("ann.example", AdjustmentServiceStub)
    bob = await town.stub("bob.example", AdjustmentServiceStub)
    await town.books.give(item("STRIPE", "txn_1", 90, "ch_1"))
    await town.book("ch_1", 100)
    (differs,) = await breaks(town.decided)
    request = asked(1, differs.break_id)
    made = (await ann.AdjustBreak(request)).adjustment
    assert (made.state, made.client) == (pb.ADJUSTMENT_STATE_DECIDED, "ann.example")
    assert [(a.currency_code, a.minor_units) for a in made.amounts] == [("EUR", -10)]
    done = await ended(ann, made.adjustment_id)
    assert (done.state, done.failure) == (pb.ADJUSTMENT_STATE_COMPLETED, "")
    assert done.ledger_sequence == 2
    # The same request gets the first answer, and posts nothing.
    assert (await ann.AdjustBreak(request)).adjustment == made
    assert await breaks(town.decided) == []
    ((rule, members),) = (await town.books.stand())[Leg.BOOKED][0]
    assert (rule, len(members)) == ("GROUP_SUM", 3)

    # Above the limit the second person decides; what no reference names is matched by them.
    await town.books.give(item("STRIPE", "txn_2", 51))
    await town.books.later(hours=1)
    (missing,) = await breaks(town.decided)
    waits = (await ann.AdjustBreak(asked(2, missing.break_id))).adjustment
    assert waits.state == pb.ADJUSTMENT_STATE_ASKED
    alone = await refusal(ann.AdjustBreak(asked(3, missing.break_id)))
    assert alone == ("NEEDS_ANOTHER_PERSON", {"client": "ann.example"})
    other = await refusal(bob.AdjustBreak(asked(4, missing.break_id, "main/us/fees")))
    assert other[0] == "ADJUSTMENT_UNDER_WAY"
    agreed = (await bob.AdjustBreak(asked(5, missing.break_id))).adjustment
    assert (agreed.adjustment_id, agreed.approver) == (waits.adjustment_id, "bob.example")
    done = await ended(bob, waits.adjustment_id)
    assert (done.state, done.ledger_sequence) == (pb.ADJUSTMENT_STATE_COMPLETED, 3)
    rules = {rule for rule, _ in (await town.books.stand())[Leg.BOOKED][0]}
    assert rules == {"GROUP_SUM", "PERSON"}
    assert await breaks(town.decided) == []


async def test_what_the_bank_took_is_posted_and_completes_the_match(town: Town) -> None:
    """A fee of a payout, and one of its own line that names nothing, which two people agree to."""
    ann = await town.stub("ann.example", AdjustmentServiceStub)
    bob = await town.stub("bob.example", AdjustmentServiceStub)
    await town.books.give(item("PAYOUT", "po_1", 100, "trace"), item("BANK", "b1", 85, "trace"))
    await town.books.run()
    (differs,) = await breaks(town.decided)
    assert differs.kind == messages.BREAK_KIND_BANK_AMOUNT
    made = (await ann.AdjustBreak(asked(1, differs.break_id, balance=BANK))).adjustment
    assert [(a.currency_code, a.minor_units) for a in made.amounts] == [("EUR", -15)]
    done = await ended(ann, made.adjustment_id)
    assert (done.state, done.failure) == (pb.ADJUSTMENT_STATE_COMPLETED, "")
    entries = (await town.ledger.get(done.ledger_sequence)).transaction.entries
    assert sorted((e.account, e.amount.minor_units, e.direction) for e in entries) == [
        (BANK, 15, DIRECTION_CREDIT),
        (FEES, 15, DIRECTION_DEBIT),
    ]
    stand = await town.books.stand()
    ((rule, members),) = stand[Leg.BANKED][0]
    adjusts = ItemKey(Source.ADJUSTMENT, "main", f"{done.ledger_request_id}:EUR")
    assert (rule, members) == (
        "GROUP_SUM",
        {key("PAYOUT", "po_1"), key("BANK", "b1"), adjusts},
    )
    # It is nothing at Stripe.
    assert stand[Leg.BOOKED] == (set(), set())

    await town.books.give(item("BANK", "b2", -51))
    await town.books.later(days=5)
    (debit,) = await breaks(town.decided)
    assert debit.kind == messages.BREAK_KIND_DEBIT_UNEXPECTED
    waits = (await ann.AdjustBreak(asked(2, debit.break_id, balance=BANK))).adjustment
    assert waits.state == pb.ADJUSTMENT_STATE_ASKED
    agreed = (await bob.AdjustBreak(asked(3, debit.break_id, balance=BANK))).adjustment
    assert (agreed.adjustment_id, agreed.approver) == (waits.adjustment_id, "bob.example")
    assert (await ended(bob, waits.adjustment_id)).state == pb.ADJUSTMENT_STATE_COMPLETED
    rules = {rule for rule, _ in (await town.books.stand())[Leg.BANKED][0]}
    assert rules == {"GROUP_SUM", "PERSON"}
    assert await breaks(town.decided) == []


async def test_what_cannot_be_adjusted_is_said_and_what_failed_may_be_asked_again(
    town: Town,
) -> None:
    ann = await town.stub("ann.example", AdjustmentServiceStub)
    await town.books.give(item("BANK", "b1", 5), item("STRIPE", "txn_1", 30, "ch_1"))
    await town.book("ch_2", 7)
    await town.books.give(item("PAYOUT", "po_1", 12))
    await town.books.later(days=9)
    of = {b.items[0].key: b.break_id for b in await breaks(town.decided)}
    for name in ("po_1", "ch_2:EUR"):
        refused = await refusal(ann.AdjustBreak(asked(len(name), of[name])))
        assert refused == ("BREAK_NOT_ADJUSTABLE", {"break_id": str(of[name])})
    why = await refusal(ann.AdjustBreak(asked(1, of["txn_1"], "main/eur/suspense")))
    assert why == ("ADJUSTMENT_NOT_ALLOWED", {"why": "adjustments may not touch main/eur/suspense"})
    why = await refusal(ann.AdjustBreak(asked(2, of["b1"])))
    assert why == ("ADJUSTMENT_NOT_ALLOWED", {"why": f"{AT_STRIPE} is not {BANK}"})
    assert (await refusal(ann.AdjustBreak(asked(9, 99))))[0] == "BREAK_NOT_FOUND"
    none = ann.GetAdjustment(pb.GetAdjustmentRequest(adjustment_id=99))
    assert await refusal(none) == ("ADJUSTMENT_NOT_FOUND", {"adjustment_id": "99"})
    bad = pb.AdjustBreakRequest(request_id="x", break_id=1, note="n")
    assert (await refusal(ann.AdjustBreak(bad)))[0] == "INVALID_REQUEST"
    # The ledger has no such account.
    missing = asked(10, of["txn_1"], "other/eur/fees")
    failed = await ended(ann, (await ann.AdjustBreak(missing)).adjustment.adjustment_id)
    assert (failed.state, failed.failure) == (pb.ADJUSTMENT_STATE_FAILED, "ACCOUNT_NOT_FOUND")
    again = (await ann.AdjustBreak(asked(11, of["txn_1"]))).adjustment
    assert (await ended(ann, again.adjustment_id)).state == pb.ADJUSTMENT_STATE_COMPLETED
    assert of["txn_1"] not in {b.break_id for b in await breaks(town.decided)}


class KilledError(BaseException):
    """The process has ended."""


class DyingLedger:
    """A ledger after whose answer the process is killed, as often as is said."""

    def __init__(self, client: LedgerClient) -> None:
        self.client = client
        self.kills = 0

    async def CreateTransaction(self, request: Any) -> Any:
        answer = await self.client.stub.CreateTransaction(request)
        if self.kills:
            self.kills -= 1
            raise KilledError
        return answer


@dataclass
class Desk:
    """A difference of 10 that was decided about, and processes that post it."""

    books: Books
    ledger: LedgerClient
    dying: DyingLedger
    break_id: int

    def poster(self) -> AdjustmentPoster:
        """Of a process that has just started."""
        deciding = Deciding(self.books.matcher, self.books.clock)
        stub: Any = self.dying
        return AdjustmentPoster(
            self.books.engine, stub, self.ledger.ledger, deciding, self.books.clock, Notifier()
        )

    async def read(self) -> store.Adjustment:
        async with self.books.engine.connect() as connection:
            (found,) = await store.read(connection)
        return found

    async def posted(self) -> Transaction:
        """The only transaction that there is."""
        request = ListTransactionsRequest(ledger=self.ledger.ledger)
        (posted,) = (await self.ledger.stub.ListTransactions(request)).transactions
        return posted


@pytest.fixture
async def desk(books: Books, service_database: NewDatabase) -> AsyncIterator[Desk]:
    async with serving(service_database("ledger"), books.clock) as served:
        ledger = served.client
        await ledger.create_ledger()
        for account in (AT_STRIPE, FEES):
            await ledger.account(account)
        await books.give(item("STRIPE", "txn_1", 90, "ch"), item("LEDGER", "l1", 100, "ch"))
        await books.run()
        (row,) = await books.rows("SELECT difference_id FROM open_difference")
        async with books.engine.begin() as connection:
            adjustment = await Asking(RULES, books.clock).ask(
                connection, "adjust-1", row.difference_id, [PLACE], "ann", "note"
            )
        assert adjustment.state is AdjustmentState.DECIDED
        yield Desk(books, ledger, DyingLedger(ledger), row.difference_id)


async def test_whatever_is_killed_one_transaction_is_posted_and_one_match_completed(
    desk: Desk, reconciliation_url: str
) -> None:
    """After the ledger's answer, and before every statement and commit of this database."""
    books = desk.books
    kill = Kill(books.engine, reconciliation_url)

    async def until(wanted: AdjustmentState) -> int:
        """Rounds that are killed before the first statement, the second, …; how many were."""
        kills = 0
        while (await desk.read()).state is not wanted:
            kill.countdown = kills + 1
            try:
                await desk.poster().round()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                kills += 1
            kill.countdown = -1
        return kills

    desk.dying.kills = 2
    for _ in range(2):
        with pytest.raises(KilledError):
            await desk.poster().round()
        assert (await desk.read()).state is AdjustmentState.DECIDED
    assert await until(AdjustmentState.POSTED) >= 3
    posted = await desk.posted()
    assert posted.request_id == ledger_request_id("adjust-1")
    assert dict(posted.metadata) == {
        "kind": "reconciliation.adjustment",
        "break": str(desk.break_id),
        "adjusts_id": "ch",
    }
    # Nothing happens until its item is there and was looked at.
    assert not await desk.poster().round()
    (came,) = items_of(posted)
    await books.give(came)
    assert not await desk.poster().round()
    await books.run()
    assert await until(AdjustmentState.COMPLETED) >= 3
    assert not await desk.poster().round()
    ((_, members),) = (await books.stand())[Leg.BOOKED][0]
    assert {k.key for k in members} == {"txn_1", "l1", came.key}
    assert came.amount_minor == -10


async def test_what_comes_besides_meanwhile_stays_a_break_of_its_own(desk: Desk) -> None:
    """Before its item comes another one, so that all of them together differ again."""
    await desk.poster().round()
    (came,) = items_of(await desk.posted())
    await desk.books.give(came, item("STRIPE", "txn_3", 3, "ch"))
    await desk.books.run()
    await desk.poster().round()
    assert (await desk.read()).state is AdjustmentState.COMPLETED
    stand = (await desk.books.stand())[Leg.BOOKED]
    ((rule, matched),) = stand[0]
    assert (rule, {k.key for k in matched}) == ("PERSON", {"txn_1", "l1", came.key})
    ((kind, members, amounts, _),) = stand[1]
    assert (kind, {k.key for k in members}) == ("LEDGER_MISSING", {"txn_3"})
    assert amounts == (("EUR", -3),)


async def test_what_somebody_has_ignored_meanwhile_is_not_matched(desk: Desk) -> None:
    await desk.poster().round()
    (came,) = items_of(await desk.posted())
    deciding = Deciding(desk.books.matcher, desk.books.clock)
    for client in ("ann", "bob"):
        async with desk.books.engine.begin() as connection:
            await deciding.ignore(connection, key("LEDGER", "l1"), Leg.BOOKED, client, "no")
    await desk.books.give(came)
    await desk.books.run()
    await desk.poster().round()
    found = await desk.read()
    assert (found.state, found.failure) == (AdjustmentState.FAILED, "ITEM_NOT_OPEN")
    assert not await desk.poster().round()


async def test_an_item_that_was_matched_with_others_completes_nothing(desk: Desk) -> None:
    await desk.poster().round()
    (came,) = items_of(await desk.posted())
    # Somebody has matched what the adjustment was for: by chance there is another one like it.
    await desk.books.give(item("LEDGER", "l0", -10, "ch"))
    await desk.books.run()
    await desk.books.give(replace(came, tokens=frozenset({"x"})), item("STRIPE", "s", -10, "x"))
    await desk.books.run()
    await desk.poster().round()
    found = await desk.read()
    assert (found.state, found.failure) == (AdjustmentState.FAILED, MATCHED_OTHERWISE)


def test_the_database_keeps_the_order_of_steps(books: Books, reconciliation_url: str) -> None:
    add = (
        "INSERT INTO adjustment (difference_id, ledger_request_id, corridor, amounts, accounts,"
        " item_ids, token, needs_two, client, remark, record_time)"
        " VALUES (1, %s, 'main', '[]', '[]', '{}', '', %s, 'ann', 'why', now())"
    )
    step = (
        "INSERT INTO adjustment_step (adjustment_id, step, state, approver, ledger_sequence,"
        " failure, record_time) VALUES (%s, %s, %s, %s, 0, %s, now())"
    )
    with psycopg.connect(reconciliation_url, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO difference (difference_id, leg, kind, corridor, amounts, since, due,"
            " overdue, sentence, proposal, change_number)"
            " VALUES (1, 'BOOKED', 'k', 'main', '[]', now(), now(), now(), 's', '{}', 1)"
        )
        owner.execute(add, ["r1", True])
        owner.execute(add, ["r2", False])
        with pytest.raises(errors.UniqueViolation):
            owner.execute(add, ["r1", False])
        for values in [
            (1, 1, "DECIDED", "", ""),
            (1, 1, "DECIDED", "ann", ""),
            (1, 2, "POSTED", "", ""),
            (1, 1, "POSTED", "bob", ""),
            (1, 1, "FAILED", "bob", "why"),
            (2, 1, "DECIDED", "bob", ""),
        ]:
            with pytest.raises(errors.CheckViolation):
                owner.execute(step, values)
        owner.execute(step, (1, 1, "DECIDED", "bob", ""))
        owner.execute(step, (2, 1, "DECIDED", "", ""))
        owner.execute(step, (2, 2, "FAILED", "", "why"))
        for values in [(2, 3, "COMPLETED", "", ""), (1, 3, "COMPLETED", "", "")]:
            with pytest.raises(errors.CheckViolation):
                owner.execute(step, values)
        for table in ("adjustment", "adjustment_step"):
            with pytest.raises(errors.RestrictViolation):
                owner.execute(f"DELETE FROM {table}".encode())
