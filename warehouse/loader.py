"""Loads a ledger in bounded steps, each of them proven equal to its trial balance or refused."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.command_failures import CommandError
from runtime.progress import Progress
from warehouse.ledger_source import LedgerSource
from warehouse.sink import LoadRefusedError, Position, Sink, Span, leaf_hash
from warehouse.totals import Key, Totals, differences, told


@dataclass(frozen=True)
class LoadLimits:
    """What one load takes, besides the last message of the stream."""

    leaves: int = 50_000
    leaf_bytes: int = 32 * 1024 * 1024


LIMITS = LoadLimits()


class HistoryError(CommandError):
    """The ledger has another past than the warehouse: it was restored, or it is another one."""


class Loader:
    """One ledger and one warehouse."""

    def __init__(
        self, source: LedgerSource, sink: Sink, progress: Progress, limits: LoadLimits = LIMITS
    ) -> None:
        self._source = source
        self._sink = sink
        self._progress = progress
        self._limits = limits
        self._is_prepared = False

    async def run(self) -> int:
        """Loads what there is when it begins; the sequence up to which the warehouse is equal.

        Raises `CommandError` when a call fails, `HistoryError`, `LoadRefusedError`, and
        `AnotherLoadError`. What was loaded before stays.
        """
        if not self._is_prepared:
            await asyncio.to_thread(self._sink.prepare)
            self._is_prepared = True
        position = await asyncio.to_thread(self._sink.position, self._source.ledger)
        last = await self._source.last_sequence()
        if last < position.sequence:
            raise HistoryError(
                f"the ledger ends at {last}, and the warehouse has {position.sequence}"
            )
        if position.sequence == last:
            await self._step(position, last)
        while position.sequence < last:
            position = await self._step(position, last)
            self._progress.show("transactions", position.sequence, last)
        return position.sequence

    async def _step(self, position: Position, last: int) -> Position:
        # With the last one that is known: a ledger that was restored has another there.
        known = position.sequence - 1 if position.sequence else 0
        leaves = await self._source.leaves(
            known, last, self._limits.leaves, self._limits.leaf_bytes
        )
        if position.sequence:
            if not leaves or leaf_hash(leaves[0]) != position.leaf_hash:
                raise HistoryError(
                    f"the ledger's transaction {position.sequence} is not the one that was loaded"
                )
            leaves = leaves[1:]
        if not leaves:
            return position
        trial = await self._source.trial_balance(position.sequence + len(leaves))
        span = Span(self._source.ledger, position, leaves, trial.moment)
        await asyncio.to_thread(load_proven, self._sink, span, trial.totals)
        return span.through


def load_proven(sink: Sink, span: Span, ledger: Mapping[Key, Totals]) -> None:
    """Keeps the span's rows if all rows then add up to what the ledger says, and none if not."""
    with sink.load(span) as load:
        found = list(differences(load.totals(), ledger))
        if found:
            raise LoadRefusedError(f"at {span.through.sequence} {told(found)}")
        load.keep()
