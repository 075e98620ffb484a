"""The offline verifier on logs that are signed as they are, and are not right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.exports import HandmadeLog, honest_log
from tests.ledger.offline import node, wrong
from tests.ledger.running import SIGNER


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return honest_log().write(tmp_path / "export", SIGNER)


def lied(change: Callable[[HandmadeLog], None]) -> HandmadeLog:
    """A log with something wrong in it, which is signed all the same."""
    log = honest_log()
    change(log)
    return log


def put(number: int, **values: Any) -> Callable[[HandmadeLog], None]:
    return lambda log: log.transactions[number - 1].update(values)


def put_entry(number: int, index: int, **values: Any) -> Callable[[HandmadeLog], None]:
    return lambda log: log.transactions[number - 1]["entries"][index].update(values)


def take(number: int, key: str) -> Callable[[HandmadeLog], None]:
    return lambda log: log.transactions[number - 1].pop(key)


LIES: dict[str, tuple[Callable[[HandmadeLog], Any], str, str]] = {
    "a gap": (put(5, sequence="6"), "line 5", "sequence is 6, not 5"),
    "another ledger's": (put(5, ledger="other"), "line 5", "ledger is other, not main"),
    "record time falls": (
        put(5, record_time="2026-01-05T11:59:59.999999Z"),
        "line 5",
        "record_time is 2026-01-05T11:59:59.999999Z, before",
    ),
    "a larger amount": (
        put_entry(1, 0, amount="1001", posted_debits="1001"),
        "line 1",
        "debits less credits of POST in EUR are 1",
    ),
    "a wrong total": (
        put_entry(1, 1, posted_credits="999"),
        "line 1",
        "entry 1: posted_credits of wallet is 999, not 1000",
    ),
    "a wrong version": (put_entry(1, 1, version="2"), "line 1", "entry 1: version of wallet is 2"),
    "an unknown account": (
        put_entry(1, 1, account="x"),
        "line 1",
        "entry 1: there is no account x",
    ),
    "another currency": (put_entry(1, 1, currency="USD"), "line 1", "entry 1: wallet takes EUR"),
    "a kind that is none": (put(1, kind="GIFT"), "line 1", "kind is 'GIFT'"),
    "a hold that posts": (put(3, kind="DIRECT"), "line 3", "entry 0: HOLD does not go with"),
    "settles nothing": (take(7, "settles"), "line 7", "settles does not go with the kind VOID"),
    "settles a later one": (put(7, settles="8"), "line 7", "settles 8, which is no open hold"),
    "settles another's": (put(4, settles="1"), "line 4", "settles 1, which is no open hold"),
    "voided twice": (put(9, settles="6"), "line 9", "settles 6, which is no open hold"),
    "reverses a later one": (put(10, reverses="12"), "line 10", "reverses 12, of which"),
    "reverses a hold": (put(10, reverses="3"), "line 10", "reverses 3, of which"),
    "expires too early": (
        put(8, expire_time="2026-01-05T12:00:01.000000Z"),
        "line 9",
        "EXPIRY at 2026-01-05T12:00:00.900000Z of a hold that expires at",
    ),
    "settled too late": (
        put(6, expire_time="2026-01-05T12:00:00.700000Z"),
        "line 7",
        "VOID at 2026-01-05T12:00:00.700000Z of a hold that expires at",
    ),
    "an unknown key": (put(1, note="x"), "line 1", "the transaction has the unknown key 'note'"),
    "a missing key": (take(1, "record_time"), "line 1", "the transaction lacks the key"),
    "an empty key": (put(1, reference=""), "line 1", "reference is not a string, or an empty one"),
    "a number": (put(1, sequence=1), "line 1", "sequence is 1, not a decimal"),
    "a leading zero": (put(1, sequence="01"), "line 1", "sequence is '01', not a decimal"),
    "a zero amount": (put_entry(1, 0, amount="0"), "line 1", "entry 0: amount is '0'"),
    "too large an amount": (
        put_entry(1, 0, amount=str(10**18 + 1)),
        "line 1",
        "entry 0: amount is '1000000000000000001'",
    ),
    "a time of its own": (put(1, record_time="now"), "line 1", "record_time is 'now'"),
    "no entries": (put(1, entries=[]), "line 1", "entries is not a list, or an empty one"),
    "a label that is no text": (put(1, metadata={"a": {}}), "line 1", "metadata has a value"),
    "an exchange without rate": (put(1, exchanges=[{}]), "line 1", "an exchange lacks the key"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_signed_lie_is_named(tmp_path: Path, name: str) -> None:
    """The operator himself signs books that are not right: root and signature agree."""
    change, place, message = LIES[name]
    found = wrong(lied(change).write(tmp_path / "export", SIGNER))
    assert found.place == f"transactions.jsonl, {place}"
    assert found.message.startswith(message)


def over(kind: str) -> HandmadeLog:
    """Takes more than there is, with totals that agree."""
    log = HandmadeLog()
    log.account("cash")
    log.account("wallet", "CREDIT")
    legs = ("cash", "DEBIT", 50), ("wallet", "CREDIT", 50)
    first = log.direct(*legs) if kind == "reversed" else log.hold(*legs)
    log.hold(("cash", "DEBIT", 500), ("wallet", "CREDIT", 500))
    if kind == "reversed":
        log.reverse(first, {0: 30, 1: 30})
        log.reverse(first, {0: 21, 1: 21})
    elif kind == "released":
        log.settle("POST", first, {0: 30, 1: 30}, {0: 30, 1: 30})
        log.settle("VOID", first, {0: 21, 1: 21}, {})
    elif kind == "posted":
        log.settle("POST", first, {0: 30, 1: 30}, {0: 31, 1: 31})
    else:
        log.settle("VOID", first, {0: 30, 1: 30}, {})
    return log


@pytest.mark.parametrize(
    ("kind", "line", "message"),
    [
        ("reversed", 4, "entry 0: entry 0 has 20 left, not 21"),
        ("released", 4, "entry 0: entry 0 has 20 left, not 21"),
        ("posted", 3, "entry 2: posts more than is released of entry 0"),
        ("voided in part", 3, "VOID leaves a part of the hold 1"),
    ],
)
def test_more_than_there_was_is_named(tmp_path: Path, kind: str, line: int, message: str) -> None:
    directory = over(kind).write(tmp_path / "export", SIGNER)
    found = wrong(directory)
    assert (found.place, found.message) == (f"transactions.jsonl, line {line}", message)
    code, _ = node(directory)
    assert code == (0 if kind == "voided in part" else 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"effective', b'{ "effective'),
        (b"request-1", b"request\\u002d1"),
        (b"request-1", b"request-\xff1"),
        (b'"kind":"DIRECT"', b'"kind":"DIRECT","kind":"DIRECT"'),
        (b'"kind":"DIRECT","ledger":"main"', b'"ledger":"main","kind":"DIRECT"'),
        (b"{", b"[" * 100_000 + b"{"),
        (b'"1000"', b'"1000","x":' + b"1" * 5_000),
        (b'"a":"1","b":"2"', b'"b":"2","a":"1"'),
    ],
)
def test_what_is_not_canonical_is_named(export: Path, before: bytes, after: bytes) -> None:
    path = export / "transactions.jsonl"
    assert before in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(before, after, 1))
    assert wrong(export).place == "transactions.jsonl, line 1"
    assert node(export)[0] == 1
