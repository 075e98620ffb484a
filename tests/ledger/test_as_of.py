"""The past, whatever the snapshots have covered of it: against sums over all entries."""

import random
from datetime import datetime, timedelta

import psycopg
import pytest

from ledger.limits import Limits
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1.direction_pb2 import DIRECTION_CREDIT
from ledger.v1.entry_pb2 import ENTRY_EFFECT_HOLD, ENTRY_EFFECT_POST, ENTRY_EFFECT_RELEASE
from ledger.v1.transaction_mutations_pb2 import BatchItem
from runtime.clock import ManualClock
from tests.ledger.client import LedgerClient, transfer
from tests.ledger.running import OpenReplica
from tests.ledger.test_reads import stamp

DAY = timedelta(days=1)
ACCOUNTS = ("cash", "receivable", "payable")
Facts = list[transactions.Transaction]
OpenHold = tuple[int, int, str, int]


@pytest.fixture
async def client(open_replica: OpenReplica, url: str) -> LedgerClient:
    """Its own snapshots make no step: the tests make theirs."""
    client = await open_replica(url, Limits(snapshot_transactions=0))
    await client.create_ledger()
    return client


def extend(url: str, count: int) -> int | None:
    """Has snapshots follow the log by so many transactions; where they are then, if they moved."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO snapshot_heads SELECT ledger_id, 0 FROM ledgers ON CONFLICT DO NOTHING"
        )
        row = connection.execute("SELECT extend_snapshots(1, %s, 20000)", [count]).fetchone()
    assert row is not None
    reached: int | None = row[0]
    return reached


async def history(client: LedgerClient) -> Facts:
    """The whole log, oldest first."""
    last = (await client.trial()).sequence
    return await client.watched(last)


def posted_by(facts: Facts, account: str, moment: datetime) -> int:
    """The posted balance, debits less credits, of all that counts by a moment."""
    return sum(
        entry.amount.minor_units * (-1 if entry.direction == DIRECTION_CREDIT else 1)
        for fact in facts
        for entry in fact.entries
        if entry.account == account
        and entry.effect == ENTRY_EFFECT_POST
        and entry.effective_time.ToDatetime(moment.tzinfo) <= moment
    )


async def debits_less_credits(client: LedgerClient, account: str, moment: datetime) -> int:
    balance = await client.balance(account, effective_time=stamp(moment))
    return int(balance.posted_debits_minor - balance.posted_credits_minor)


@pytest.fixture
async def dated(bank: LedgerClient, clock: ManualClock) -> LedgerClient:
    """A log of 2,600 transactions, most of them back- or post-dated, some with equal times."""
    chance = random.Random(7)
    start = clock.now()
    for _ in range(4):
        clock.advance(DAY)
        items: list[BatchItem] = []
        for _ in range(650):
            source, target = chance.sample(ACCOUNTS, 2)
            more = {}
            if chance.random() < 0.9:
                more["effective_time"] = stamp(start + chance.randrange(-40, 80) * DAY / 8)
            items.append(
                BatchItem(create=transfer(source, target, chance.randrange(1, 99), **more))
            )
        await bank.batch(*items)
    return bank


async def test_by_effective_time_at_every_stage_of_the_snapshots(
    dated: LedgerClient, clock: ManualClock, url: str
) -> None:
    facts = await history(dated)
    moments = [clock.now() + hours * timedelta(hours=1) for hours in (-300, -96, -51, -3, 0, 60)]
    expected = {
        (account, moment): posted_by(facts, account, moment)
        for account in ACCOUNTS
        for moment in moments
    }
    for count in (0, 100, 1_000, 1_000, 1_000):
        if count:
            extend(url, count)
        for (account, moment), posted in expected.items():
            assert await debits_less_credits(dated, account, moment) == posted
    assert (await dated.verify()).intact


async def test_runs_of_runs_are_used(dated: LedgerClient, url: str) -> None:
    """Guards the test above: it reads runs of the second level, and few entries beside them."""
    while extend(url, 1_000) is not None:
        pass
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT level, count(DISTINCT (account_number, position)) FROM dated_runs GROUP BY 1"
        ).fetchall()
    runs: dict[int, int] = dict(rows)
    assert runs[2] == 3
    assert runs[1] > 96


async def test_pages_of_a_trial_balance_do_not_see_what_is_dated_back_between_them(
    dated: LedgerClient, clock: ManualClock, open_replica: OpenReplica, url: str
) -> None:
    as_of = balances.AsOf(effective_time=stamp(clock.now() - 2 * DAY))
    first = await dated.trial(as_of=as_of, page_size=2)
    moment = stamp(clock.now() - 3 * DAY)
    await dated.create(transfer("cash", "receivable", 5, effective_time=moment))
    second = await dated.trial(as_of=as_of, page_size=2, page_token=first.next_page_token)
    assert second.totals == first.totals
    assert second.sequence == first.sequence == 2_600
    # Another replica has not seen the first page.
    other = await open_replica(url, Limits(snapshot_transactions=0))
    third = await other.trial(as_of=as_of, page_size=2, page_token=first.next_page_token)
    assert third == second
    again = await dated.trial(as_of=as_of)
    assert again.totals[0].posted_debits_minor == first.totals[0].posted_debits_minor + 5


def open_holds(facts: Facts, sequence: int, prefix: str) -> list[OpenHold]:
    """What was held and not released as of a sequence: (sequence, entry, account, remaining)."""
    left: dict[tuple[int, int], list[str | int]] = {}
    for fact in facts[:sequence]:
        for entry in fact.entries:
            if entry.effect == ENTRY_EFFECT_HOLD:
                key = (fact.sequence, entry.entry_index)
                left[key] = [entry.account, entry.amount.minor_units]
            elif entry.effect == ENTRY_EFFECT_RELEASE:
                held = left[fact.settles_sequence, entry.source_entry_index]
                held[1] -= entry.amount.minor_units  # type: ignore[operator]
    return [
        (*key, str(account), int(amount))
        for key, (account, amount) in sorted(left.items())
        if amount and (not prefix or account == prefix)
    ]


async def holds(client: LedgerClient, *, account: str = "", **as_of: object) -> list[OpenHold]:
    """The holds of a GetBalance, after checking that its balance says the same of them."""
    target = {"account": account} if account else {"prefix": ""}
    request = balances.GetBalanceRequest(
        ledger=client.ledger,
        include_holds=True,
        as_of=balances.AsOf(**as_of) if as_of else None,  # type: ignore[arg-type]
        **target,  # type: ignore[arg-type]
    )
    answer = await client.stub.GetBalance(request)
    pending = sum(b.pending_debits_minor + b.pending_credits_minor for b in answer.balances)
    assert sum(hold.remaining_minor for hold in answer.holds) == pending
    assert not answer.more_holds
    return [(h.sequence, h.entry_index, h.account, h.remaining_minor) for h in answer.holds]


async def test_holds_as_of_every_sequence(bank: LedgerClient, url: str) -> None:
    chance = random.Random(11)
    alive: list[int] = []
    for number in range(90):
        if not alive or chance.random() < 0.5:
            source, target_account = chance.sample(ACCOUNTS, 2)
            made = await bank.hold(source, target_account, chance.randrange(10, 99))
            alive.append(made.sequence)
            continue
        target = alive[chance.randrange(len(alive))]
        if number % 3:
            alive.remove(target)
            await (bank.void(target) if number % 2 else bank.post(target))
        else:
            await bank.post(target, {0: 1, 1: 1}, remainder=transactions.REMAINDER_KEEP)
    facts = await history(bank)
    for covered in (0, 40, 1_000):
        if covered:
            extend(url, covered)
        for sequence in range(0, 91, 3):
            for account in ("", "cash"):
                found = await holds(bank, account=account, sequence=sequence)
                assert found == open_holds(facts, sequence, account)
        assert await holds(bank, account="cash") == open_holds(facts, 90, "cash")
    assert (await bank.verify()).intact


async def test_a_hold_lapses_at_its_moment_in_every_read(
    bank: LedgerClient, clock: ManualClock
) -> None:
    start = clock.now()
    expiry = start + timedelta(seconds=10)
    await bank.hold("cash", "payable", 7, expire_time=stamp(expiry))
    clock.advance(timedelta(seconds=9, microseconds=999_999))
    assert await holds(bank, account="cash") == [(1, 1, "cash", 7)]
    clock.advance(timedelta(microseconds=1))
    assert await holds(bank, account="cash") == []
    assert await bank.available("cash") == 0
    clock.advance(timedelta(seconds=10))
    # The transaction that expires it is recorded with this one, long after its time.
    await bank.create(transfer("cash", "receivable", 1))
    for point, expected in (
        ({"record_time": stamp(expiry - timedelta(microseconds=1))}, [(1, 1, "cash", 7)]),
        ({"record_time": stamp(expiry)}, []),
        ({"effective_time": stamp(expiry - timedelta(microseconds=1))}, [(1, 1, "cash", 7)]),
        ({"effective_time": stamp(expiry)}, []),
        ({"sequence": 1}, [(1, 1, "cash", 7)]),
        ({"sequence": 2}, []),
    ):
        assert await holds(bank, account="cash", **point) == expected
