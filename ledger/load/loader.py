"""Imports inputs, batch by batch, and keeps beside each how far it came."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from ledger.load.batches import Batch, batches
from ledger.load.given import Source
from ledger.load.records import RejectedFile, State, StateFile
from ledger.load.sending import Sender
from runtime.command_failures import CommandError
from runtime.progress import Progress

REJECTED_SUFFIX = ".rejected.jsonl"
STATE_SUFFIX = ".load-state.json"


@dataclass
class Counts:
    """What became of an input: all its accounts and transactions, and those refused."""

    accounts: int = 0
    transactions: int = 0
    refused: int = 0


class Loader:
    """Sends one batch at a time, in order, while the next one is being read."""

    def __init__(self, sender: Sender, progress: Progress) -> None:
        self._sender = sender
        self._progress = progress

    async def load(self, path: Path, source: Source, beside: Path) -> Counts:
        """Imports one input; its files of state and of refused items are named after `beside`."""
        kept = StateFile(beside.with_name(beside.name + STATE_SUFFIX))
        state = await self._usable(kept.read(), source) or State.beginning(
            self._sender.ledger, source.identity()
        )
        if state.after:
            unit, number = source.locate(state.after)
            self._progress.say(f"{path}: going on after {unit} {number:,}")
        rejected = RejectedFile(
            beside.with_name(beside.name + REJECTED_SUFFIX), state.rejected_bytes
        )
        reading = batches(str(path), source, state.after)

        def read() -> Batch | None:
            return next(reading, None)

        upcoming = await asyncio.to_thread(read)
        while (batch := upcoming) is not None:
            sent, following = await asyncio.gather(
                self._sender.send(source, batch), asyncio.to_thread(read), return_exceptions=True
            )
            if isinstance(sent, BaseException):
                raise _at(path, source, batch, sent)
            rejected.add(sent.refused)
            state = state.advanced(batch, sent, rejected.size)
            if state.request_id:
                kept.write(state)
            self._progress.show("of the input", state.after, source.total)
            if isinstance(following, BaseException):
                raise following
            upcoming = following
        kept.remove()
        return Counts(state.accounts, state.transactions, state.refused)

    async def _usable(self, state: State | None, source: Source) -> State | None:
        """A state that is of this input, and of a ledger that has what it says."""
        if state is None or (state.ledger, state.input) != (
            self._sender.ledger,
            source.identity(),
        ):
            return None
        return state if await self._sender.has(state.request_id) else None


def _at(path: Path, source: Source, batch: Batch, error: BaseException) -> BaseException:
    """The failure of a batch, with where in the input that was."""
    if not isinstance(error, CommandError):
        return error
    unit, number = source.locate(batch.last)
    return CommandError(
        f"{path}, in what ends with {unit} {number:,}: {error.message}", passing=error.passing
    )
