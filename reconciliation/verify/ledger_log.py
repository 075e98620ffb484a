"""The ledger's log beside an export: that it is the one that statements name, and what it says of
the balances at Stripe. `python -m ledger.verify` checks the log itself."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from runtime.merkle import Frontier, leaf_hash

TRANSACTIONS = "transactions.jsonl"
AT_STRIPE = "stripe"

# What a transaction does to the balances at Stripe, by corridor and the key of its item.
Moved = Mapping[tuple[str, str], int]


class LedgerLog:
    """The roots of a log at some sizes, and the sums of what it says."""

    def __init__(self, path: Path, sizes: Collection[int]) -> None:
        """Reads it once. Raises `OSError`, or ValueError for a line that is no transaction."""
        self.roots: dict[int, bytes] = {}
        moved: dict[tuple[str, str], int] = defaultdict(int)
        self.sequences: dict[tuple[str, str], int] = {}
        tree = Frontier()
        with path.open("rb") as lines:
            for line in lines:
                leaf = line.removesuffix(b"\n")
                tree.append(leaf_hash(leaf))
                if tree.size in sizes:
                    self.roots[tree.size] = tree.root()
                for place, amount in _moved(leaf).items():
                    moved[place] += amount
                    self.sequences[place] = tree.size
        self.size = tree.size
        self.moved: Moved = moved


def _moved(leaf: bytes) -> Moved:
    transaction = json.loads(leaf)
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for entry in transaction["entries"]:
        corridor, _, rest = entry["account"].partition("/")
        if entry["effect"] != "POST" or rest.split("/")[1:2] != [AT_STRIPE]:
            continue
        sign = 1 if entry["direction"] == "DEBIT" else -1
        key = f"{transaction['request_id']}:{entry['currency']}"
        sums[corridor, key] += sign * int(entry["amount"])
    return sums
