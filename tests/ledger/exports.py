"""Exports made by hand, honest or not, signed over whatever they hold.

Written from docs/proofs.md without the code under test, but for the signature.
"""

import copy
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from ledger.notes import Checkpoint
from runtime.signed_notes import SignerKey

Leg = tuple[str, str, int]
START = datetime(2026, 1, 5, 12, tzinfo=UTC)
OPPOSITE = {"DEBIT": "CREDIT", "CREDIT": "DEBIT"}
TOTALS = ("posted_debits", "posted_credits", "pending_debits", "pending_credits", "version")


def canonical(value: Any) -> bytes:
    """RFC 8785 for strings, lists and objects with keys of ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def tree_root(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1."""
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha256(b"\x01" + tree_root(leaves[:half]) + tree_root(leaves[half:])).digest()


class HandmadeLog:
    """A log that one adds to, and can then tamper with before it is signed."""

    def __init__(self, ledger: str = "main") -> None:
        self.ledger = ledger
        self.accounts: list[dict[str, Any]] = []
        self.transactions: list[dict[str, Any]] = []
        self._totals: dict[str, list[int]] = {}
        self._currency: dict[str, str] = {}

    def copy(self) -> "HandmadeLog":
        return copy.deepcopy(self)

    def account(self, name: str, normal: str = "DEBIT", currency: str = "EUR", **more: Any) -> None:
        self.accounts.append(
            {
                "create_time": "2026-01-05T12:00:00.000000Z",
                "currency": currency,
                "name": name,
                "normal_balance": normal,
                "number": str(len(self.accounts) + 1),
                **more,
            }
        )
        self._totals[name] = [0, 0, 0, 0, 0]
        self._currency[name] = currency

    def direct(self, *legs: Leg, **more: Any) -> int:
        return self.add("DIRECT", [("POST", *leg, None) for leg in legs], **more)

    def transfer(self, source: str, target: str, amount: int, **more: Any) -> int:
        return self.direct((target, "DEBIT", amount), (source, "CREDIT", amount), **more)

    def hold(self, *legs: Leg, **more: Any) -> int:
        return self.add("PENDING", [("HOLD", *leg, None) for leg in legs], **more)

    def settle(
        self, kind: str, hold: int, released: dict[int, int], posted: dict[int, int], **more: Any
    ) -> int:
        """`released` and `posted` are amounts by the index of the entry held."""
        entries = []
        for effect, amounts in (("RELEASE", released), ("POST", posted)):
            for index, amount in amounts.items():
                held = self.transactions[hold - 1]["entries"][index]
                entries.append((effect, held["account"], held["direction"], amount, index))
        return self.add(kind, entries, settles=str(hold), **more)

    def reverse(self, original: int, amounts: dict[int, int], **more: Any) -> int:
        entries = []
        for index, amount in amounts.items():
            posted = self.transactions[original - 1]["entries"][index]
            entries.append(
                ("POST", posted["account"], OPPOSITE[posted["direction"]], amount, index)
            )
        return self.add("REVERSAL", entries, reverses=str(original), **more)

    def add(
        self, kind: str, entries: Sequence[tuple[str, str, str, int, int | None]], **more: Any
    ) -> int:
        """Adds a transaction with the totals that its entries lead to."""
        sequence = len(self.transactions) + 1
        moment = START + timedelta(milliseconds=100 * sequence)
        record_time = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
        self.transactions.append(
            {
                "effective_time": record_time,
                "entries": [self._entry(*entry) for entry in entries],
                "kind": kind,
                "ledger": self.ledger,
                "record_time": record_time,
                "request_id": f"request-{sequence}",
                "sequence": str(sequence),
                **more,
            }
        )
        return sequence

    def _entry(
        self, effect: str, account: str, direction: str, amount: int, source: int | None
    ) -> dict[str, str]:
        totals = self._totals[account]
        place = (0 if effect == "POST" else 2) + (direction == "CREDIT")
        totals[place] += -amount if effect == "RELEASE" else amount
        totals[4] += 1
        entry = {
            "account": account,
            "amount": str(amount),
            "currency": self._currency[account],
            "direction": direction,
            "effect": effect,
            **dict(zip(TOTALS, map(str, totals), strict=True)),
        }
        return entry if source is None else {**entry, "source_entry": str(source)}

    def checkpoint(self, size: int | None = None, accounts: int | None = None) -> Checkpoint:
        """The checkpoint of the first so many transactions and accounts; of all for None."""
        leaves = [canonical(transaction) for transaction in self.transactions[:size]]
        chain = bytes(32)
        lines = self.accounts[:accounts]
        for line in lines:
            chain = sha256(chain + sha256(canonical(line)).digest()).digest()
        return Checkpoint(
            f"ledger/{self.ledger}", len(leaves), tree_root(leaves), len(lines), chain
        )

    def write(self, directory: Path, signer: SignerKey) -> Path:
        """Exports it to a new folder, signed as it is."""
        directory.mkdir()
        for name, values in (("accounts", self.accounts), ("transactions", self.transactions)):
            lines = b"".join(canonical(value) + b"\n" for value in values)
            (directory / f"{name}.jsonl").write_bytes(lines)
        (directory / "checkpoint.note").write_text(signer.sign(self.checkpoint()))
        return directory


def honest_log() -> HandmadeLog:
    """Every kind of transaction, two currencies, and every optional key."""
    log = HandmadeLog()
    log.account("cash")
    log.account("wallet", "CREDIT", limits={"min_available": "-5"}, metadata={"k": 'v"\\\n'})
    log.account("euros", "CREDIT")
    log.account("dollars", "DEBIT", "USD")
    log.account("margin", "CREDIT", "USD")
    direct = log.transfer("wallet", "cash", 1_000, reference="ü", metadata={"a": "1", "b": "2"})
    log.direct(
        ("cash", "DEBIT", 100),
        ("euros", "CREDIT", 100),
        ("dollars", "DEBIT", 109),
        ("margin", "CREDIT", 109),
        exchanges=[
            {
                "bought": {"amount": "109", "currency": "USD"},
                "rate": "1.0857",
                "remainder_account": "margin",
                "sold": {"amount": "100", "currency": "EUR"},
            }
        ],
    )
    hold = log.hold(("cash", "DEBIT", 50), ("wallet", "CREDIT", 50))
    log.settle("POST", hold, {0: 20, 1: 20}, {0: 20, 1: 20})
    posted = log.settle("POST", hold, {0: 30, 1: 30}, {0: 10, 1: 10})
    voided = log.hold(("cash", "DEBIT", 7), ("wallet", "CREDIT", 7))
    log.settle("VOID", voided, {0: 7, 1: 7}, {})
    due = "2026-01-05T12:00:00.900000Z"
    expiring = log.hold(("cash", "DEBIT", 8), ("euros", "CREDIT", 8), expire_time=due)
    log.settle("EXPIRY", expiring, {0: 8, 1: 8}, {}, effective_time=due)
    log.reverse(direct, {0: 400, 1: 400})
    log.reverse(direct, {0: 600, 1: 600})
    log.reverse(posted, {2: 10, 3: 10})
    log.hold(
        ("cash", "DEBIT", 5), ("wallet", "CREDIT", 5), expire_time="2027-01-01T00:00:00.000000Z"
    )
    return log
