"""The feed of a ledger: transactions in commit order, without gaps, for any number of watchers.

A commit holds its ledger's head until it is done, so a sequence is visible only after all before
it: reading on from the last one seen leaves nothing out. Watchers are woken at once by commits of
this process and by a poll of the heads for those of others; watchers at one position share a read.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from ledger.encoding import transaction_message
from ledger.leaf import leaf_of
from ledger.reader import Reader
from ledger.v1.transaction_pb2 import Transaction
from ledger.v1.transaction_reads_pb2 import WatchTransactionsRequest, WatchTransactionsResponse
from runtime.loops import Loop
from runtime.merkle import leaf_hash

MAX_TRANSACTIONS_PER_MESSAGE = 200
# These keep a message below the 4 MiB that gRPC clients take by default, in the widest
# case of names and texts (see ledger.pages). Only a single transaction with more may be larger.
MAX_ENTRIES_PER_MESSAGE = 2_000
MAX_REQUEST_BYTES_PER_MESSAGE = 2 * 1024 * 1024
POLL_INTERVAL_SECONDS = 0.2
# Messages shared by watchers at the same position.
MAX_SHARED_PAGES = 16


class Page(NamedTuple):
    """Transactions in their order, and the leaf hash of the last one."""

    transactions: Sequence[Transaction]
    leaf_hash: bytes


class Feed:
    """Notifies watchers of new transactions and reads them."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._last: dict[int, int] = {}
        self._advanced: dict[int, asyncio.Event] = {}
        self._watchers: Counter[int] = Counter()
        self.generation = 0
        """Another number once placements have changed: watches of an older one end."""
        self._pages: OrderedDict[tuple[int, int, int], asyncio.Task[Page]] = OrderedDict()

    def on_commit(self, ledger_id: int, last_sequence: int) -> None:
        """Wakes the ledger's watchers if it has grown."""
        if not self._watchers[ledger_id] or last_sequence <= self._last[ledger_id]:
            return
        self._last[ledger_id] = last_sequence
        self._advanced.pop(ledger_id).set()
        self._advanced[ledger_id] = asyncio.Event()

    def restart(self) -> None:
        """Ends all watches: some of the ledgers may be on another shard now."""
        self.generation += 1
        for ledger_id, advanced in self._advanced.items():
            advanced.set()
            self._advanced[ledger_id] = asyncio.Event()

    def loop(self) -> Loop:
        """Looks for commits of other processes."""
        return Loop("feed", self._poll, poll_seconds=POLL_INTERVAL_SECONDS)

    async def _poll(self) -> bool:
        """One poll of the heads of the ledgers that are watched."""
        watched = list(self._last)
        if watched:
            for ledger_id, last_sequence in (await self._reader.heads(watched)).items():
                self.on_commit(ledger_id, last_sequence)
        return False

    async def watch(
        self, ledger_id: int, request: WatchTransactionsRequest, generation: int
    ) -> AsyncIterator[WatchTransactionsResponse]:
        """Everything after a sequence, then each commit, until the watcher leaves or it has to be
        looked up anew where the ledger is."""
        after = request.after_sequence
        self._join(ledger_id)
        try:
            heads = await self._reader.heads([ledger_id])
            self.on_commit(ledger_id, heads[ledger_id])
            while generation == self.generation:
                advanced = self._advanced[ledger_id]
                through = min(self._last[ledger_id], after + MAX_TRANSACTIONS_PER_MESSAGE)
                if through <= after:
                    await advanced.wait()
                    continue
                page = await self._page(ledger_id, request.ledger, after, through)
                after = page.transactions[-1].sequence
                yield WatchTransactionsResponse(
                    transactions=_below(page.transactions, request.account_prefix),
                    through_sequence=after,
                    through_leaf_hash=page.leaf_hash,
                )
        finally:
            self._leave(ledger_id)

    async def leaf_hash(self, ledger_id: int, ledger: str, sequence: int) -> bytes:
        """The leaf hash of a transaction that the ledger has."""
        (record,) = await self._reader.records(ledger_id, [sequence])
        return leaf_hash(leaf_of(ledger, record))

    def _join(self, ledger_id: int) -> None:
        self._watchers[ledger_id] += 1
        self._last.setdefault(ledger_id, 0)
        self._advanced.setdefault(ledger_id, asyncio.Event())

    def _leave(self, ledger_id: int) -> None:
        self._watchers[ledger_id] -= 1
        if not self._watchers[ledger_id]:
            del self._watchers[ledger_id], self._last[ledger_id], self._advanced[ledger_id]

    async def _page(self, ledger_id: int, ledger: str, after: int, through: int) -> Page:
        """The first transactions of a span, read once for all watchers who are at it."""
        key = (ledger_id, after, through)
        task = self._pages.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self._read(ledger_id, ledger, after, through))
            self._pages[key] = task
            if len(self._pages) > MAX_SHARED_PAGES:
                self._pages.popitem(last=False)
        # Shielded: a watcher that leaves must not take the page away from the others.
        return await asyncio.shield(task)

    async def _read(self, ledger_id: int, ledger: str, after: int, through: int) -> Page:
        sequences = await self._reader.fitting(
            ledger_id,
            range(after + 1, through + 1),
            max_entries=MAX_ENTRIES_PER_MESSAGE,
            max_body_bytes=MAX_REQUEST_BYTES_PER_MESSAGE,
        )
        records = await self._reader.records(ledger_id, sequences)
        assert [record.sequence for record in records] == [
            *range(after + 1, after + len(records) + 1)
        ], "the log has a gap"
        return Page(
            [transaction_message(ledger, record) for record in records],
            leaf_hash(leaf_of(ledger, records[-1])),
        )


def _below(transactions: Sequence[Transaction], prefix: str) -> Sequence[Transaction]:
    """The transactions with an entry on an account at or below a path."""
    if not prefix:
        return transactions
    folder = f"{prefix}/"
    return [
        transaction
        for transaction in transactions
        if any(
            entry.account == prefix or entry.account.startswith(folder)
            for entry in transaction.entries
        )
    ]
