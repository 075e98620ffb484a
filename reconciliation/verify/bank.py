"""Files of banks, read again by what took them: which lines they have, and so which items."""

import json
from collections import defaultdict
from hashlib import file_digest
from pathlib import Path
from typing import NamedTuple

from reconciliation.bank.lines import TooManyCarriersError
from reconciliation.bank.reader import Chain, statements_of
from reconciliation.bank.wire import Asked
from reconciliation.closing.statement import BankPlace, StatedItem, file_leaf
from reconciliation.matching.item import Item, ItemError
from reconciliation.statements.refusal import StatementRefusedError
from reconciliation.verify.leaves import LeafError, read_canonical
from runtime.merkle import Frontier, leaf_hash


class FileLeaf(NamedTuple):
    """A file as a statement covers it."""

    account: str
    file_sha256: bytes
    asked: str
    """How it was read; empty where that was not kept."""

    def leaf(self) -> bytes:
        """The bytes that the statement covers."""
        return file_leaf(*self)


def read_file_leaf(line: bytes) -> FileLeaf:
    """The file of a leaf. Raises `LeafError`."""
    given = read_canonical(line)
    try:
        found = FileLeaf(given["account"], bytes.fromhex(given["sha256"]), given["asked"])
        is_leaf = found.leaf() == line
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LeafError(f"is no file of a bank: {type(error).__name__}") from error
    if not is_leaf:
        raise LeafError("is not written as a leaf is")
    return found


class BankBooks:
    """The files of all bank accounts, as they came one after the other."""

    def __init__(self) -> None:
        self._trees: dict[str, Frontier] = defaultdict(Frontier)
        self._chains: dict[str, Chain] = {}
        self._items: dict[str, dict[str, Item]] = defaultdict(dict)
        # What its lines are depends on all of an account's files.
        self._unreadable: set[str] = set()
        self._statements = 0
        self.files = 0

    def take(self, leaf: FileLeaf, path: Path) -> None:
        """A further file. Raises `LeafError` if it is not the one of the leaf, or is not read as it
        was, and `OSError`."""
        self._trees[leaf.account].append(leaf_hash(leaf.leaf()))
        self.files += 1
        with path.open("rb") as file:
            if file_digest(file, "sha256").digest() != leaf.file_sha256:
                raise LeafError("is not what is in the file of its hash")
        if not leaf.asked or leaf.account in self._unreadable:
            self._unreadable.add(leaf.account)
            return
        try:
            self._read(leaf, path)
        except (StatementRefusedError, TooManyCarriersError, ItemError) as error:
            raise LeafError(f"is of a file that is refused: {type(error).__name__}") from error
        except (KeyError, TypeError, ValueError, json.JSONDecodeError) as error:
            raise LeafError(f"does not say how it was read: {type(error).__name__}") from error

    def _read(self, leaf: FileLeaf, path: Path) -> None:
        asked = Asked.from_line(leaf.asked.encode())
        if asked.account.name != leaf.account:
            raise LeafError("was read as a file of another account")
        with path.open("rb") as file:
            statements = statements_of(asked, file)
        if statements is None:
            raise LeafError("is of a file without a known format")
        chain = self._chains.setdefault(leaf.account, Chain(asked.account))
        chain.account = asked.account
        for statement in statements:
            self._statements += 1
            for item in chain.judged(self._statements, statement).items:
                self._items[leaf.account].setdefault(item.key, item)

    def is_at(self, place: BankPlace) -> bool:
        """Whether the account's files are those that a statement names."""
        tree = self._trees[place.account]
        return tree.size == place.files and tree.root() == place.root

    def check(self, stated: StatedItem) -> bool:
        """Whether the item's line is proven; not if not all files of its account can be read.
        Raises `LeafError` if the files say otherwise."""
        account = stated.key.key.partition("/")[0]
        if account in self._unreadable or account not in self._chains:
            return False
        item = self._items[account].get(stated.key.key)
        if item is None:
            raise LeafError(f"{stated.key.key} is no line of its bank's files")
        said = (stated.key, stated.currency, stated.amount_minor, stated.book_day, stated.sha256)
        found = (item.id, item.currency, item.amount_minor, item.book_date, item.sha256)
        if said != found or stated.instant != item.instant:
            raise LeafError(f"{stated.key.key} is not what its bank's files say")
        return True
