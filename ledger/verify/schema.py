"""The two kinds of lines in an export, read strictly: what docs/proofs.md says and nothing else."""

import re
from typing import Any, NamedTuple

from ledger.verify.canonical import check_keys, integer, labels, moment, objects, read_line, text
from ledger.verify.finding import Finding

MAX_AMOUNT_MINOR = 10**18
MIN_LIMIT = -(2**63)

_CURRENCY = re.compile(r"[A-Z]{3}")
_ACCOUNT = re.compile(r"[A-Za-z0-9_.:-]+(/[A-Za-z0-9_.:-]+)*")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.:-]+")
_KIND = re.compile(r"DIRECT|PENDING|POST|VOID|EXPIRY|REVERSAL")
_DIRECTION = re.compile(r"DEBIT|CREDIT")
_EFFECT = re.compile(r"POST|HOLD|RELEASE")
_RATE = re.compile(r"[0-9]+(\.[0-9]+)?")

_ACCOUNT_REQUIRED = frozenset({"create_time", "currency", "name", "normal_balance", "number"})
_ACCOUNT_ALLOWED = _ACCOUNT_REQUIRED | {"limits", "metadata"}
_LIMITS = frozenset({"max_available", "max_posted", "min_available", "min_posted"})
_TRANSACTION_REQUIRED = frozenset(
    {"effective_time", "entries", "kind", "ledger", "record_time", "sequence"}
)
_TRANSACTION_ALLOWED = _TRANSACTION_REQUIRED | {
    *("exchanges", "expire_time", "metadata", "reference", "request_id", "reverses", "settles")
}
_ENTRY_REQUIRED = frozenset(
    {
        *("account", "amount", "currency", "direction", "effect", "version"),
        *("pending_credits", "pending_debits", "posted_credits", "posted_debits"),
    }
)
_ENTRY_ALLOWED = _ENTRY_REQUIRED | {"description", "source_entry"}
_EXCHANGE_REQUIRED = frozenset({"bought", "rate", "sold"})
_EXCHANGE_ALLOWED = _EXCHANGE_REQUIRED | {"remainder_account"}
_MONEY = frozenset({"amount", "currency"})
_NO_KEYS: frozenset[str] = frozenset()


class AccountLine(NamedTuple):
    """An account as it was made."""

    number: int
    name: str
    currency: str
    normal_balance: str


class Entry(NamedTuple):
    """One leg, with its account's totals right after it as texts: posted debits and credits,
    pending debits and credits, version."""

    account: str
    currency: str
    direction: str
    effect: str
    amount: int
    source: int | None
    totals: tuple[str, str, str, str, str]


class Transaction(NamedTuple):
    """A leaf. Times are texts in UTC, which have the order of their times."""

    sequence: int
    ledger: str
    kind: str
    record_time: str
    expire_time: str | None
    settles: int | None
    reverses: int | None
    entries: list[Entry]


def read_account(line: bytes) -> AccountLine:
    """The account of a line; raises `Finding`."""
    value = read_line(line)
    check_keys(value, _ACCOUNT_REQUIRED, _ACCOUNT_ALLOWED, "the account")
    moment(value["create_time"], "create_time")
    if "limits" in value:
        limits = objects(value["limits"], "limits")
        check_keys(limits, _NO_KEYS, _LIMITS, "limits")
        if not limits:
            raise Finding("limits is empty")
        for name, bound in limits.items():
            integer(bound, name, MIN_LIMIT)
    if "metadata" in value:
        labels(value["metadata"], "metadata")
    return AccountLine(
        integer(value["number"], "number", 1),
        text(value["name"], "name", _ACCOUNT),
        text(value["currency"], "currency", _CURRENCY),
        text(value["normal_balance"], "normal_balance", _DIRECTION),
    )


def read_transaction(line: bytes) -> Transaction:
    """The transaction of a leaf; raises `Finding`."""
    value = read_line(line)
    check_keys(value, _TRANSACTION_REQUIRED, _TRANSACTION_ALLOWED, "the transaction")
    moment(value["effective_time"], "effective_time")
    if "exchanges" in value:
        _check_exchanges(value["exchanges"])
    if "metadata" in value:
        labels(value["metadata"], "metadata")
    if "reference" in value:
        text(value["reference"], "reference")
    if "request_id" in value:
        text(value["request_id"], "request_id", _IDENTIFIER)
    entries = value["entries"]
    if type(entries) is not list or not entries:
        raise Finding("entries is not a list, or an empty one")
    return Transaction(
        integer(value["sequence"], "sequence", 1),
        text(value["ledger"], "ledger"),
        text(value["kind"], "kind", _KIND),
        moment(value["record_time"], "record_time"),
        moment(value["expire_time"], "expire_time") if "expire_time" in value else None,
        integer(value["settles"], "settles", 1) if "settles" in value else None,
        integer(value["reverses"], "reverses", 1) if "reverses" in value else None,
        [_entry(entry, index) for index, entry in enumerate(entries)],
    )


def _entry(value: Any, index: int) -> Entry:
    try:
        entry = objects(value, "it")
        check_keys(entry, _ENTRY_REQUIRED, _ENTRY_ALLOWED, "it")
        if "description" in entry:
            text(entry["description"], "description")
        return Entry(
            text(entry["account"], "account"),
            text(entry["currency"], "currency"),
            text(entry["direction"], "direction", _DIRECTION),
            text(entry["effect"], "effect", _EFFECT),
            integer(entry["amount"], "amount", 1, MAX_AMOUNT_MINOR),
            integer(entry["source_entry"], "source_entry") if "source_entry" in entry else None,
            (
                entry["posted_debits"],
                entry["posted_credits"],
                entry["pending_debits"],
                entry["pending_credits"],
                entry["version"],
            ),
        )
    except Finding as finding:
        raise Finding(f"entry {index}: {finding.message}") from None


def _check_exchanges(exchanges: Any) -> None:
    if type(exchanges) is not list or not exchanges:
        raise Finding("exchanges is not a list, or an empty one")
    for value in exchanges:
        exchange = objects(value, "an exchange")
        check_keys(exchange, _EXCHANGE_REQUIRED, _EXCHANGE_ALLOWED, "an exchange")
        text(exchange["rate"], "rate", _RATE)
        if "remainder_account" in exchange:
            text(exchange["remainder_account"], "remainder_account", _ACCOUNT)
        for name in ("bought", "sold"):
            money = objects(exchange[name], name)
            check_keys(money, _MONEY, _MONEY, name)
            integer(money["amount"], "amount", 1, MAX_AMOUNT_MINOR)
            text(money["currency"], "currency", _CURRENCY)
