"""The ledger's log beside an export: that it is the one that statements name, and what it says of
the balances at Stripe and of adjustments at the bank. `python -m ledger.verify` checks the log
itself."""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.merkle import Frontier, leaf_hash

TRANSACTIONS = "transactions.jsonl"
AT_STRIPE, BANK = "stripe", ["bank"]
# Of transactions that adjust breaks.
ADJUSTMENT_KIND = "reconciliation.adjustment"

# What a transaction does to the balances at Stripe, by corridor and the key of its item.
Moved = Mapping[tuple[str, str], int]


class LedgerLog:
    """The roots of a log at some sizes, and the sums of what it says."""

    def __init__(self, path: Path, sizes: Collection[int]) -> None:
        """Reads it once. Raises `OSError`, or ValueError for a line that is no transaction."""
        self.roots: dict[int, bytes] = {}
        moved: dict[tuple[str, str], int] = defaultdict(int)
        adjusted: dict[tuple[str, str], int] = defaultdict(int)
        self.sequences: dict[tuple[str, str], int] = {}
        tree = Frontier()
        with path.open("rb") as lines:
            for line in lines:
                leaf = line.removesuffix(b"\n")
                tree.append(leaf_hash(leaf))
                if tree.size in sizes:
                    self.roots[tree.size] = tree.root()
                transaction = json.loads(leaf)
                sums = [(moved, _moved(transaction, is_at_stripe))]
                if transaction.get("metadata", {}).get("kind") == ADJUSTMENT_KIND:
                    sums.append((adjusted, _moved(transaction, is_bank)))
                for known, of_it in sums:
                    for place, amount in of_it.items():
                        known[place] += amount
                        self.sequences[place] = tree.size
        self.size = tree.size
        self.moved: Moved = moved
        self.adjusted: Moved = adjusted


def is_at_stripe(parts: Sequence[str]) -> bool:
    """Whether an account is a balance at Stripe, by the parts of its name."""
    return list(parts[2:3]) == [AT_STRIPE]


def is_bank(parts: Sequence[str]) -> bool:
    """Whether it is the account of the bank."""
    return list(parts[2:]) == BANK


def _moved(transaction: Any, counts: Callable[[Sequence[str]], bool]) -> Moved:
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for entry in transaction["entries"]:
        parts = entry["account"].split("/")
        if entry["effect"] != "POST" or not counts(parts):
            continue
        sign = 1 if entry["direction"] == "DEBIT" else -1
        key = f"{transaction['request_id']}:{entry['currency']}"
        sums[parts[0], key] += sign * int(entry["amount"])
    return sums
