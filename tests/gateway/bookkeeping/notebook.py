"""A ledger on the back of an envelope: applies what the mapping asks for and checks it."""

from __future__ import annotations

from collections import Counter

from gateway.bookkeeping.chart import Account, Side
from gateway.bookkeeping.facts import Fact
from gateway.bookkeeping.mapping import (
    Create,
    Entry,
    Post,
    Reverse,
    Void,
    account_groups,
    ledger_write,
)


class Notebook:
    """Posted balances (debits less credits), open holds and what each fact posted."""

    def __init__(self) -> None:
        self.debit_balances: Counter[Account] = Counter()
        self.holds: dict[str, list[Entry]] = {}
        self.posted: dict[str, tuple[Entry, ...]] = {}
        self.transactions = 0

    def book(self, fact: Fact) -> None:
        """Applies one fact; AssertionError if a real ledger would refuse it."""
        assert fact.id not in self.posted
        write = ledger_write(fact)
        self.transactions += 1
        self.posted[fact.id] = ()
        match write:
            case Create(entries, hold):
                self._check(fact, entries)
                if hold:
                    self.holds[fact.id] = list(entries)
                else:
                    self._post(fact, entries)
            case Post(of, entries, final):
                self._check(fact, entries)
                held = self.holds[of]
                assert [(e.account, e.side) for e in entries] == [(e.account, e.side) for e in held]
                left = [h.amount_minor - e.amount_minor for h, e in zip(held, entries, strict=True)]
                assert min(left) >= 0
                self._post(fact, entries)
                if final:
                    del self.holds[of]
                else:
                    self.holds[of] = [
                        Entry(h.account, h.side, rest) for h, rest in zip(held, left, strict=True)
                    ]
            case Void(of):
                del self.holds[of]
            case Reverse(of):
                original = self.posted.pop(of)
                self._post(
                    fact,
                    tuple(Entry(e.account, e.side.opposite, e.amount_minor) for e in original),
                )

    def _check(self, fact: Fact, entries: tuple[Entry, ...]) -> None:
        totals: Counter[str] = Counter()
        accounts = {account for group in account_groups(fact) for account in group}
        for entry in entries:
            assert entry.amount_minor > 0
            assert entry.account in accounts
            sign = 1 if entry.side is Side.DEBIT else -1
            totals[entry.account.currency] += sign * entry.amount_minor
        assert len(entries) >= 2
        assert not any(totals.values()), "debits and credits differ"

    def _post(self, fact: Fact, entries: tuple[Entry, ...]) -> None:
        self.posted[fact.id] = entries
        for entry in entries:
            sign = 1 if entry.side is Side.DEBIT else -1
            self.debit_balances[entry.account] += sign * entry.amount_minor
