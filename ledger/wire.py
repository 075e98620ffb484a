"""Transactions in protobuf's wire format, written directly.

Every answer of the hot path has its transactions in full. Built as messages they took two
thirds of the service's time; laid out here they take a sixth of that, because what repeats (names,
currencies, times) is encoded once. docs/adr/0014-ledger-speed.md has the figures, and
tests/ledger/test_wire.py holds these bytes against messages built field by field. The numbers of
the fields are those of protos/ledger/v1/transaction.proto, entry.proto and balance.proto; the
format is https://protobuf.dev/programming-guides/encoding/.
"""

import struct
from collections.abc import Iterable
from functools import lru_cache

from ledger.accounts import Effect, Side
from ledger.commands import Notes, Record
from ledger.posting import Posted
from ledger.times import timestamp_of
from ledger.v1 import transaction_pb2

MAX_CACHED_NAMES = 65_536
MAX_CACHED_TIMES = 1_024
# Above the index of any entry: a post of 10,000 legs has 20,000.
_TABLE_SIZE = 32_768


def _encode_varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_VARINTS = [_encode_varint(number) for number in range(_TABLE_SIZE)]
# Entry.direction (4) and Entry.effect (5).
_MOVES = {(side, effect): bytes((0x20, side, 0x28, effect)) for side in Side for effect in Effect}
# Balance.posted_debits_minor (3) to Balance.version (9), each a tag and a sfixed64.
_numbers = struct.Struct("<BqBqBqBqBqBqBq").pack


def varint(number: int) -> bytes:
    """A number that is not negative, in groups of seven bits."""
    return _VARINTS[number] if number < _TABLE_SIZE else _encode_varint(number)


def field(tag: int, payload: bytes) -> bytes:
    """A length-delimited field; `tag` is its number and wire type in one byte."""
    return _VARINTS[tag] + varint(len(payload)) + payload


def encode_transaction(ledger: str, record: Record, *, entries: bool = True) -> bytes:
    """A `ledger.v1.Transaction`; `entries=False` leaves its entries out."""
    (
        sequence,
        kind,
        request_id,
        _,
        reference,
        posted,
        record_us,
        effective_us,
        expire_us,
        settles,
        reverses,
        notes,
    ) = record
    number = varint(sequence)
    record_time = _timestamp(record_us)
    effective_time = record_time if effective_us is None else _timestamp(effective_us)
    parts = [_text(0x0A, ledger), b"\x10", number]
    if request_id:
        parts.append(field(0x1A, request_id.encode()))
    parts.append(b"\x20" + _VARINTS[kind])
    if entries:
        # Entry.record_time (10) and Entry.effective_time (11) are the transaction's.
        times = field(0x52, record_time) + field(0x5A, effective_time)
        parts += _entries(posted, b"\x08" + number, times, notes)
    parts.append(field(0x32, record_time))
    parts.append(field(0x3A, effective_time))
    if expire_us is not None:
        parts.append(field(0x42, _timestamp(expire_us)))
    if reference:
        parts.append(field(0x4A, reference.encode()))
    if notes is not None:
        parts.append(_notes(notes))
    if settles is not None:
        parts.append(b"\x60" + varint(settles))
    if reverses is not None:
        parts.append(b"\x68" + varint(reverses))
    return b"".join(parts)


def encode_answer(transaction: bytes) -> bytes:
    """The response of a method that makes one transaction: its field 1."""
    return field(0x0A, transaction)


def encode_batch_answer(results: Iterable[bytes]) -> bytes:
    """A `BatchCreateTransactionsResponse` of encoded `BatchItemResult`s."""
    return b"".join([field(0x0A, result) for result in results])


def _entries(
    posted: Iterable[Posted], sequence: bytes, times: bytes, notes: Notes | None
) -> list[bytes]:
    """Fields 5 of a transaction, one per entry."""
    descriptions = notes.descriptions if notes is not None else ()
    fields: list[bytes] = []
    for index, (
        account,
        side,
        effect,
        amount,
        source,
        posted_debits,
        posted_credits,
        pending_debits,
        pending_credits,
        version,
    ) in enumerate(posted):
        name, currency, balance_of = _account(account.name, account.currency)
        if account.normal is Side.DEBIT:
            balance = posted_debits - posted_credits
            available = balance - pending_credits
        else:
            balance = posted_credits - posted_debits
            available = balance - pending_debits
        money = currency + varint(amount)
        after = balance_of + _numbers(
            0x19,
            posted_debits,
            0x21,
            posted_credits,
            0x29,
            pending_debits,
            0x31,
            pending_credits,
            0x39,
            balance,
            0x41,
            available,
            0x49,
            version,
        )
        entry = b"".join(
            (
                sequence,
                b"\x10",
                _VARINTS[index],
                name,
                _MOVES[side, effect],
                b"\x32",
                _VARINTS[len(money)],
                money,
                b"\x3a",
                _VARINTS[len(after)],
                after,
                field(0x42, descriptions[index].encode()) if descriptions else b"",
                b"" if source is None else b"\x48" + _VARINTS[source],
                times,
            )
        )
        fields.append(b"\x2a" + _VARINTS[len(entry)] + entry)
    return fields


def _notes(notes: Notes) -> bytes:
    """Fields 10 and 11; fields may be appended, for that is how protobuf merges messages."""
    message = transaction_pb2.Transaction(metadata=notes.metadata)
    for exchange in notes.exchanges:
        added = message.exchanges.add(
            rate=exchange.rate, remainder_account=exchange.remainder_account
        )
        added.sold.currency_code = exchange.sold_currency
        added.sold.minor_units = exchange.sold_minor
        added.bought.currency_code = exchange.bought_currency
        added.bought.minor_units = exchange.bought_minor
    return message.SerializeToString(deterministic=True)


@lru_cache(maxsize=MAX_CACHED_TIMES)
def _timestamp(micros: int) -> bytes:
    return timestamp_of(micros).SerializeToString()


@lru_cache(maxsize=MAX_CACHED_TIMES)
def _text(tag: int, text: str) -> bytes:
    return field(tag, text.encode())


@lru_cache(maxsize=MAX_CACHED_NAMES)
def _account(name: str, currency: str) -> tuple[bytes, bytes, bytes]:
    """Entry.account, what Money has before its amount, and what Balance has before its numbers."""
    return (
        field(0x1A, name.encode()),
        field(0x0A, currency.encode()) + b"\x10",
        field(0x0A, name.encode()) + field(0x12, currency.encode()),
    )
