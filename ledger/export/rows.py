"""Leaves and account lines as rows with typed columns, and rows as the very same bytes again.

A row that would not give its bytes again is refused when it is made, so no column can be lost in
silence. This module knows neither gRPC nor a database: the offline verifier reads rows with it.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from ledger.times import micros_of, text_of

# A row of a table: its columns by name. Times are microseconds since 1970.
Row = dict[str, Any]
LIMITS = ("max_available", "max_posted", "min_available", "min_posted")
TOTALS = ("pending_credits", "pending_debits", "posted_credits", "posted_debits")


class RowError(ValueError):
    """A line that no row stands for, or that is no line of an export."""


@lru_cache(maxsize=1024)
def micros_of_text(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 time."""
    return micros_of(datetime.fromisoformat(text))


_time = lru_cache(maxsize=1024)(text_of)


def account_row(line: bytes) -> Row:
    """The row of an account's line; raises `RowError`."""
    try:
        account = json.loads(line)
        limits = account.get("limits", {})
        row = {
            "number": int(account["number"]),
            "name": account["name"],
            "currency": account["currency"],
            "normal_balance": account["normal_balance"],
            "create_time": micros_of_text(account["create_time"]),
            **{name: int(limits[name]) if name in limits else None for name in LIMITS},
            "metadata": _pairs(account),
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RowError(f"not an account's line: {type(error).__name__} {error}") from error
    if account_line(row) != line:
        raise RowError("the account's line is not canonical or has more than its row can hold")
    return row


def account_line(row: Row) -> bytes:
    """The line that a row of an account was made from."""
    account: Row = {"create_time": _time(row["create_time"]), "currency": row["currency"]}
    limits = {name: str(row[name]) for name in LIMITS if row[name] is not None}
    if limits:
        account["limits"] = limits
    if row["metadata"]:
        account["metadata"] = _labels(row["metadata"])
    account["name"] = row["name"]
    account["normal_balance"] = row["normal_balance"]
    account["number"] = str(row["number"])
    return _canonical(account)


def transaction_row(leaf: bytes) -> Row:
    """The row of a leaf; raises `RowError`."""
    try:
        transaction = json.loads(leaf)
        expire_time = transaction.get("expire_time")
        row = {
            "sequence": int(transaction["sequence"]),
            "ledger": transaction["ledger"],
            "kind": transaction["kind"],
            "record_time": micros_of_text(transaction["record_time"]),
            "effective_time": micros_of_text(transaction["effective_time"]),
            "expire_time": None if expire_time is None else micros_of_text(expire_time),
            "request_id": transaction.get("request_id"),
            "reference": transaction.get("reference"),
            "settles": _optional_int(transaction, "settles"),
            "reverses": _optional_int(transaction, "reverses"),
            "metadata": _pairs(transaction),
            "exchanges": [_exchange_row(given) for given in transaction.get("exchanges", ())],
            "entries": [_entry_row(entry) for entry in transaction["entries"]],
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RowError(f"not a leaf: {type(error).__name__} {error}") from error
    if leaf_of_row(row) != leaf:
        raise RowError("the leaf is not canonical or has more than its row can hold")
    return row


def leaf_of_row(row: Row) -> bytes:
    """The leaf that a row was made from."""
    leaf: Row = {
        "effective_time": _time(row["effective_time"]),
        "entries": [_entry(entry) for entry in row["entries"]],
    }
    if row["exchanges"]:
        leaf["exchanges"] = [_exchange(exchange) for exchange in row["exchanges"]]
    if row["expire_time"] is not None:
        leaf["expire_time"] = _time(row["expire_time"])
    leaf["kind"] = row["kind"]
    leaf["ledger"] = row["ledger"]
    if row["metadata"]:
        leaf["metadata"] = _labels(row["metadata"])
    leaf["record_time"] = _time(row["record_time"])
    for name in ("reference", "request_id"):
        if row[name] is not None:
            leaf[name] = row[name]
    if row["reverses"] is not None:
        leaf["reverses"] = str(row["reverses"])
    leaf["sequence"] = str(row["sequence"])
    if row["settles"] is not None:
        leaf["settles"] = str(row["settles"])
    return _canonical(leaf)


def _entry_row(entry: Mapping[str, str]) -> Row:
    return {
        "account": entry["account"],
        "direction": entry["direction"],
        "effect": entry["effect"],
        "amount": int(entry["amount"]),
        "currency": entry["currency"],
        "description": entry.get("description"),
        "source_entry": _optional_int(entry, "source_entry"),
        **{name: int(entry[name]) for name in TOTALS},
        "version": int(entry["version"]),
    }


def _entry(row: Row) -> Row:
    entry: Row = {
        "account": row["account"],
        "amount": str(row["amount"]),
        "currency": row["currency"],
    }
    if row["description"] is not None:
        entry["description"] = row["description"]
    entry["direction"] = row["direction"]
    entry["effect"] = row["effect"]
    for name in TOTALS:
        entry[name] = str(row[name])
    if row["source_entry"] is not None:
        entry["source_entry"] = str(row["source_entry"])
    entry["version"] = str(row["version"])
    return entry


def _exchange_row(exchange: Mapping[str, Any]) -> Row:
    return {
        "sold_currency": exchange["sold"]["currency"],
        "sold_amount": int(exchange["sold"]["amount"]),
        "bought_currency": exchange["bought"]["currency"],
        "bought_amount": int(exchange["bought"]["amount"]),
        "rate": exchange["rate"],
        "remainder_account": exchange.get("remainder_account"),
    }


def _exchange(row: Row) -> Row:
    bought = {"amount": str(row["bought_amount"]), "currency": row["bought_currency"]}
    exchange: Row = {"bought": bought, "rate": row["rate"]}
    if row["remainder_account"] is not None:
        exchange["remainder_account"] = row["remainder_account"]
    exchange["sold"] = {"amount": str(row["sold_amount"]), "currency": row["sold_currency"]}
    return exchange


def _optional_int(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name)
    return None if text is None else int(text)


def _pairs(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    return list(given.get("metadata", {}).items())


def _labels(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """RFC 8785, section 3.2.3: keys are ordered by their UTF-16 code units."""
    return dict(sorted(pairs, key=lambda pair: pair[0].encode("utf-16-be")))


def _canonical(value: Row) -> bytes:
    """JSON as RFC 8785 writes it, of a value whose keys are in order already."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
