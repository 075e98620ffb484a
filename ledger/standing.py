"""What later transactions have done to one: its state, what follows it, what is left of it."""

from ledger.book import Source
from ledger.decoding import key_of
from ledger.errors import transaction_not_found
from ledger.posting import Kind
from ledger.reader import Reader
from ledger.sources import sources_of
from ledger.statements import statement
from ledger.times import micros_of
from ledger.v1 import transaction_pb2 as transactions
from runtime import arrays
from runtime.clock import Clock
from runtime.connections import Connections

MAX_FOLLOWERS = 1_000

STATES = {
    Kind.DIRECT: transactions.TRANSACTION_STATE_POSTED,
    Kind.POST: transactions.TRANSACTION_STATE_POSTED,
    Kind.REVERSAL: transactions.TRANSACTION_STATE_POSTED,
    Kind.VOID: transactions.TRANSACTION_STATE_VOIDED,
    Kind.EXPIRY: transactions.TRANSACTION_STATE_EXPIRED,
}


class Standings:
    """Reads the standing of transactions."""

    def __init__(self, connections: Connections, reader: Reader, clock: Clock) -> None:
        self._connections = connections
        self._reader = reader
        self._clock = clock

    async def of(
        self, ledger_id: int, key: transactions.TransactionKey
    ) -> tuple[int, transactions.TransactionStanding]:
        """Sequence and standing of a transaction; raises TRANSACTION_NOT_FOUND."""
        named = key_of(key)
        rows = await self._connections.fetch(
            statement("load_sources"),
            {
                "ledger_id": ledger_id,
                "sequences": arrays.int8s([named] if isinstance(named, int) else []),
                "source_ids": arrays.texts([named] if isinstance(named, str) else []),
            },
        )
        if not rows:
            raise transaction_not_found(named)
        (source,) = sources_of(rows)
        settled_by, reversed_by = await self._reader.followers(
            ledger_id, source.sequence, MAX_FOLLOWERS
        )
        standing = transactions.TransactionStanding(settled_by=settled_by, reversed_by=reversed_by)
        self._describe(standing, source)
        return source.sequence, standing

    def _describe(self, standing: transactions.TransactionStanding, source: Source) -> None:
        left = [
            transactions.EntryRemainder(entry_index=entry.index, remaining_minor=entry.remaining)
            for entry in source.entries
        ]
        if source.kind != Kind.PENDING:
            standing.state = STATES[Kind(source.kind)]
            if source.kind in (Kind.DIRECT, Kind.POST):
                standing.reversible.extend(left)
            return
        lapsed = source.expire_us is not None and source.expire_us <= micros_of(self._clock.now())
        if any(entry.remaining for entry in source.entries) and not lapsed:
            standing.state = transactions.TRANSACTION_STATE_PENDING
            standing.held.extend(left)
        elif source.last_settlement is None or any(entry.remaining for entry in source.entries):
            # Its time has come, though no transaction says so yet.
            standing.state = transactions.TRANSACTION_STATE_EXPIRED
        else:
            standing.state = STATES[Kind(source.last_settlement[0])]
