"""What a batch of commands has to know of the ledger before it can be decided."""

from collections.abc import Container, Sequence

from ledger.book import Book
from ledger.commands import Command
from ledger.posting import Draft
from ledger.store import Needs


def needs_of(
    commands: Sequence[Command], known: Container[str], *, with_request_ids: bool
) -> Needs:
    """The accounts not `known`, the earlier transactions named and, if wanted, the request ids."""
    names: set[str] = set()
    sequences: set[int] = set()
    source_ids: set[str] = set()
    request_ids: set[str] = set()
    for command in commands:
        request_ids.add(command.request_id)
        names.update(account.name for account in command.accounts if account.name not in known)
        if command.close and command.close not in known:
            names.add(command.close)
        for item in command.items:
            if item.request_id:
                request_ids.add(item.request_id)
            action = item.action
            if isinstance(action, Draft):
                names.update([leg[0] for leg in action.legs if leg[0] not in known])
            elif isinstance(action.key, int):
                sequences.add(action.key)
            else:
                source_ids.add(action.key)
    return Needs(
        sorted(names),
        sorted(sequences),
        sorted(source_ids),
        sorted(request_ids) if with_request_ids else (),
    )


def touched_by(commands: Sequence[Command], book: Book) -> list[int]:
    """Numbers of the accounts whose balances the commands may ask for, once the book has them."""
    names: set[str] = set()
    for command in commands:
        names.add(command.close)
        for item in command.items:
            action = item.action
            if isinstance(action, Draft):
                names.update([leg[0] for leg in action.legs])
                continue
            sequence = (
                action.key if isinstance(action.key, int) else book.sequence_of.get(action.key)
            )
            source = None if sequence is None else book.sources.get(sequence)
            if source is not None:
                names.update([entry.account for entry in source.entries])
    return sorted(book.accounts[name].number for name in names if name in book.accounts)
