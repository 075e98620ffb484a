"""The verification of an export, from its note to the last of its transactions."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ledger.chain import EMPTY_CHAIN, extended
from ledger.notes import Checkpoint, open_note
from ledger.verify.agreement import Agreement
from ledger.verify.books import Books, TrialBalance
from ledger.verify.finding import Finding
from ledger.verify.schema import read_account, read_transaction
from ledger.verify.sources import NOTE_FILE, Source, source_of
from runtime.merkle import Frontier, leaf_hash
from runtime.signed_notes import NoteError, VerifierKey

# How many transactions pass between two readings of the clock.
PROGRESS_TRANSACTIONS = 10_000
PROGRESS_SECONDS = 2.0

Progress = Callable[[str], None]


class Report(NamedTuple):
    """What an export turned out to be."""

    checkpoint: Checkpoint
    entries: int
    open_holds: int
    trial_balance: list[TrialBalance]
    older: list[Checkpoint]


def verify(
    directory: Path, key: VerifierKey, older_notes: Sequence[Path], progress: Progress
) -> Report:
    """Checks everything; raises `Finding` with the first thing that is wrong."""
    source = source_of(directory)
    checkpoint = _checkpoint(directory / NOTE_FILE, key, NOTE_FILE)
    older = sorted(
        (_older(path, key, checkpoint) for path in older_notes), key=lambda old: old.tree_size
    )
    reversed_later = _reversed(source, progress)
    books = Books(checkpoint.ledger, reversed_later)
    _check_accounts(source, books, checkpoint, older)
    _check_transactions(source, books, checkpoint, older, progress)
    return Report(checkpoint, books.entries, books.open_holds, list(books.trial_balance()), older)


def _checkpoint(path: Path, key: VerifierKey, place: str) -> Checkpoint:
    try:
        return open_note(path.read_bytes(), key)
    except NoteError as error:
        raise Finding(str(error), place) from None


def _older(path: Path, key: VerifierKey, newest: Checkpoint) -> Checkpoint:
    """An older checkpoint, which can only cover what the export has."""
    found = _checkpoint(path, key, str(path))
    if found.origin != newest.origin:
        raise Finding(f"is a checkpoint of {found.origin}, not of {newest.origin}", str(path))
    for what, before, now in (
        ("transactions", found.tree_size, newest.tree_size),
        ("accounts", found.account_count, newest.account_count),
    ):
        if before > now:
            raise Finding(f"covers {before} {what}, the export only {now}", str(path))
    return found


def _reversed(source: Source, progress: Progress) -> set[int]:
    """What will be reversed: only of that the entries have to be remembered."""
    progress("looking for reversals")
    return set(source.reversed_sequences())


def _check_accounts(
    source: Source, books: Books, checkpoint: Checkpoint, older: Sequence[Checkpoint]
) -> None:
    """Each line by itself, and the chain over them."""
    signed = [(old.account_count, old.accounts_hash) for old in (*older, checkpoint)]
    agreement = Agreement("accounts", signed)
    chain = EMPTY_CHAIN
    number = 0
    agreement.compare(0, chain)
    for line in source.accounts():
        number += 1
        place = source.place_of_account(number)
        if number > checkpoint.account_count:
            raise Finding(f"the checkpoint ends at account {checkpoint.account_count}", place)
        try:
            books.add_account(read_account(line))
        except Finding as finding:
            raise finding.at(place) from None
        chain = extended(chain, line)
        agreement.compare(number, chain)
    if number != checkpoint.account_count:
        place = source.place_of_account(number + 1)
        raise Finding(f"is missing: the checkpoint ends at {checkpoint.account_count}", place)
    agreement.finish()


def _check_transactions(
    source: Source,
    books: Books,
    checkpoint: Checkpoint,
    older: Sequence[Checkpoint],
    progress: Progress,
) -> None:
    """Each leaf by itself, as the next of the books, and as a leaf of the tree."""
    signed = [(old.tree_size, old.root_hash) for old in (*older, checkpoint)]
    agreement = Agreement("transactions", signed)
    log = Frontier()
    size = checkpoint.tree_size
    for leaf in _watched(source.transactions(), size, progress):
        number = log.size + 1
        if number > size:
            raise Finding(f"the checkpoint ends at {size}", source.place_of_transaction(number))
        try:
            books.add(read_transaction(leaf))
        except Finding as finding:
            raise finding.at(source.place_of_transaction(number)) from None
        log.append(leaf_hash(leaf))
        if agreement.speaks_of(number):
            agreement.compare(number, log.root())
    if log.size != size:
        place = source.place_of_transaction(log.size + 1)
        raise Finding(f"is missing: the checkpoint ends at {size}", place)
    agreement.finish()


def _watched(leaves: Iterator[bytes], total: int, progress: Progress) -> Iterator[bytes]:
    """The leaves, with their progress."""
    told = time.monotonic()
    for number, leaf in enumerate(leaves):
        if number % PROGRESS_TRANSACTIONS == 0 and time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            progress(f"{number:,} of {total:,} transactions ({100 * number // total} %)")
        yield leaf
