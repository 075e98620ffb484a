"""Sealing on a real database: step by step, by several at once, and cut short."""

import asyncio
from itertools import pairwise
from typing import Any

from prometheus_client import REGISTRY

from ledger.account_line import account_line
from ledger.chain import EMPTY_CHAIN, extended
from ledger.placements import DEFAULT_SHARD
from ledger.seals import PendingLedger, Seals
from ledger.v1 import account_pb2 as accounts
from runtime.clock import ManualClock
from runtime.connections import Connections
from tests.ledger.client import DEBIT_NORMAL, LedgerClient, fresh_id
from tests.ledger.sealers import check_sealed, checkpoints, grow, new_sealer, pending

SHARD = {"shard": DEFAULT_SHARD}


async def test_checkpoints_step_by_step(
    unsealed: LedgerClient, seals: Seals, clock: ManualClock, url: str
) -> None:
    """Sizes on both sides of a tile's end; a sealer that goes on and ones that start anew."""
    sealer = new_sealer(seals, clock)
    size = 0
    for target in (1, 2, 255, 256, 257, 511, 512, 513, 1024, 1025, 2303):
        await grow(unsealed, target - size)
        size = target
        await (sealer if target % 2 else new_sealer(seals, clock)).seal_all()
    found = await check_sealed(seals, url)
    assert [c.tree_size for c in found] == [1, 2, 255, 256, 257, 511, 512, 513, 1024, 1025, 2303]
    assert {checkpoint.seal_time for checkpoint in found} == {clock.now()}


async def test_nothing_new_needs_no_checkpoint(
    unsealed: LedgerClient, seals: Seals, clock: ManualClock
) -> None:
    sealer = new_sealer(seals, clock)
    await sealer.seal_all()
    assert await checkpoints(seals) == []
    await grow(unsealed, 1)
    await sealer.seal_all()
    await sealer.seal_all()
    assert len(await checkpoints(seals)) == 1


async def test_a_checkpoint_covers_the_accounts(
    unsealed: LedgerClient, seals: Seals, clock: ManualClock
) -> None:
    """Those that there are, with limits and labels, over more than one page."""
    sealer = new_sealer(seals, clock)
    await grow(unsealed, 1)
    await sealer.seal_all()
    await unsealed.account("limited", min_available_minor=-5, max_posted_minor=10)
    await unsealed.stub.BatchCreateAccounts(
        accounts.BatchCreateAccountsRequest(
            request_id=fresh_id(),
            ledger="main",
            accounts=[
                accounts.AccountInput(
                    name=f"many/{number}",
                    currency_code="EUR",
                    normal_balance=DEBIT_NORMAL,
                    metadata={"ﬁ": "1", "😀": '"\\\n\u007f', "a": "ü"},
                )
                for number in range(1_000)
            ],
        )
    )
    await grow(unsealed, 1)
    await sealer.seal_all()
    first, second = await checkpoints(seals)
    assert (first.account_count, second.account_count) == (2, 1_003)
    lines = [
        account_line(account)
        for after in (0, 1_000)
        for account in await seals.accounts(1, after, 1_000)
    ]
    assert lines[2].decode() == (
        '{"create_time":"2026-01-05T12:00:00.000000Z","currency":"EUR",'
        '"limits":{"max_posted":"10","min_available":"-5"},"name":"limited",'
        '"normal_balance":"DEBIT","number":"3"}'
    )
    # UTF-16 puts what is beyond the 16-bit plane before the ligature, which is at its end.
    assert '"metadata":{"a":"ü","😀":"\\"\\\\\\n\u007f","ﬁ":"1"}' in lines[3].decode()
    chain = EMPTY_CHAIN
    for number, line in enumerate(lines, 1):
        chain = extended(chain, line)
        if number == 2:
            assert chain == first.accounts_hash
    assert chain == second.accounts_hash


class MeetingSeals(Seals):
    """Whoever is about to write waits until the other is, too."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self.meeting = asyncio.Barrier(2)
        self.written: list[bool] = []

    async def write(self, *arguments: Any) -> bool:
        await self.meeting.wait()
        self.written.append(await super().write(*arguments))
        return self.written[-1]


async def test_of_two_that_seal_at_once_one_wins(
    unsealed: LedgerClient, reads: Connections, clock: ManualClock, url: str
) -> None:
    """Both go on from the same checkpoint, to different sizes even; then both go on."""
    seals = MeetingSeals(reads)
    first, second = new_sealer(seals, clock), new_sealer(seals, clock)
    for _ in range(6):
        await grow(unsealed, 200)
        early = await pending(seals)
        await grow(unsealed, 100)
        late = await pending(seals)
        await asyncio.gather(first.seal(early), second.seal(late))
        assert sorted(seals.written) == [False, True]
        seals.written.clear()
    found = await check_sealed(seals, url)
    assert len(found) == 6
    # Neither is confused by what the other has sealed since it looked.
    stale = PendingLedger(1, "main", found[-1].tree_size, 0)
    assert await first.seal(stale) == await second.seal(stale) == 0
    assert await checkpoints(seals) == found


async def test_sealing_that_is_cut_short_leaves_nothing_half_done(
    unsealed: LedgerClient, seals: Seals, clock: ManualClock, url: str
) -> None:
    """Cancelled ever later, until it comes through; each time the next one goes on from there."""
    await grow(unsealed, 1_000)
    for steps in range(1_000):
        task = asyncio.create_task(new_sealer(seals, clock).seal_all())
        for _ in range(steps):
            await asyncio.sleep(0)
        if task.done():
            break
        task.cancel()
        await asyncio.wait([task])
        sizes = [checkpoint.tree_size for checkpoint in await checkpoints(seals)]
        assert sizes in ([], [1_000])
    await check_sealed(seals, url)
    await grow(unsealed, 300)
    await new_sealer(seals, clock).seal_all()
    assert [c.tree_size for c in await check_sealed(seals, url)] == [1_000, 1_300]


async def test_many_ledgers_are_sealed_in_one_round(
    unsealed: LedgerClient, seals: Seals, clock: ManualClock, url: str
) -> None:
    for number in range(3):
        unsealed.ledger = f"other-{number}"
        await unsealed.create_ledger()
        await unsealed.account("cash")
        await unsealed.account("safe")
        await grow(unsealed, 300 + number)
    await new_sealer(seals, clock).seal_all()
    for ledger_id in (2, 3, 4):
        (found,) = await check_sealed(seals, url, ledger_id)
        assert found.tree_size == 298 + ledger_id


async def test_the_lag_is_measured(
    unsealed: LedgerClient, seals: Seals, clock: ManualClock
) -> None:
    before = REGISTRY.get_sample_value("ledger_sealed_transactions_total") or 0
    await grow(unsealed, 12)
    await new_sealer(seals, clock).seal_all()
    assert REGISTRY.get_sample_value("ledger_sealed_transactions_total") == before + 12
    assert REGISTRY.get_sample_value("ledger_unsealed_transactions", SHARD) == 0
    sizes = [older.tree_size for older in await checkpoints(seals)]
    assert all(older < newer for older, newer in pairwise(sizes))
