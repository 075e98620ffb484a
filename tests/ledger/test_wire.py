"""Bytes written directly are the messages that protobuf's own code would have written."""

from hypothesis import given
from hypothesis import strategies as st

from ledger.accounts import Side
from ledger.commands import Record
from ledger.posting import Kind
from ledger.times import timestamp_of
from ledger.v1 import entry_pb2, transaction_pb2
from ledger.v1.transaction_mutations_pb2 import BatchCreateTransactionsResponse, BatchItemResult
from ledger.wire import encode_batch_answer, encode_transaction, field, varint
from tests.ledger.records import records

KIND = {
    kind: transaction_pb2.TransactionKind.Value(f"TRANSACTION_KIND_{kind.name}") for kind in Kind
}


def message_of(record: Record, *, entries: bool) -> transaction_pb2.Transaction:
    """The transaction set field by field."""
    record_time = timestamp_of(record.record_us)
    effective = record.record_us if record.effective_us is None else record.effective_us
    message = transaction_pb2.Transaction(
        ledger="main",
        sequence=record.sequence,
        request_id=record.request_id,
        kind=KIND[record.kind],
        record_time=record_time,
        effective_time=timestamp_of(effective),
        reference=record.reference,
        settles_sequence=record.settles or 0,
        reverses_sequence=record.reverses or 0,
    )
    if record.expire_us is not None:
        message.expire_time.CopyFrom(timestamp_of(record.expire_us))
    descriptions: tuple[str, ...] = ()
    if record.notes is not None:
        descriptions = record.notes.descriptions
        message.metadata.update(record.notes.metadata)
        for exchange in record.notes.exchanges:
            added = message.exchanges.add(
                rate=exchange.rate, remainder_account=exchange.remainder_account
            )
            added.sold.currency_code = exchange.sold_currency
            added.sold.minor_units = exchange.sold_minor
            added.bought.currency_code = exchange.bought_currency
            added.bought.minor_units = exchange.bought_minor
    for index in range(len(record.entries) if entries else 0):
        description = descriptions[index] if descriptions else ""
        _add_entry(message, record, index, description)
    return message


def _add_entry(
    message: transaction_pb2.Transaction, record: Record, index: int, description: str
) -> None:
    account, side, effect, amount, source, *totals = record.entries[index]
    entry: entry_pb2.Entry = message.entries.add(
        sequence=record.sequence,
        entry_index=index,
        account=account.name,
        direction=side,
        effect=effect,
        description=description,
        record_time=message.record_time,
        effective_time=message.effective_time,
    )
    if source is not None:
        entry.source_entry_index = source
    entry.amount.currency_code = account.currency
    entry.amount.minor_units = amount
    after = entry.balance_after
    after.account, after.currency_code = account.name, account.currency
    after.posted_debits_minor, after.posted_credits_minor = totals[:2]
    after.pending_debits_minor, after.pending_credits_minor = totals[2:4]
    after.version = totals[4]
    debited, credited, held_debits, held_credits, _ = totals
    grown = debited - credited
    after.posted_minor = grown if account.normal is Side.DEBIT else -grown
    lowering = held_credits if account.normal is Side.DEBIT else held_debits
    after.available_minor = after.posted_minor - lowering


def in_range(record: Record) -> bool:
    """What the rules let through: totals whose differences are of 64 bits."""
    return all(max(totals) < 2**61 for _, _, _, _, _, *totals in record.entries)


@given(records().filter(in_range), st.booleans())
def test_a_transaction(record: Record, entries: bool) -> None:
    encoded = encode_transaction("main", record, entries=entries)
    assert transaction_pb2.Transaction.FromString(encoded) == message_of(record, entries=entries)


@given(st.lists(records().filter(in_range), max_size=3))
def test_a_batch(made: list[Record]) -> None:
    encoded = encode_batch_answer(
        [field(0x0A, encode_transaction("main", record)) for record in made]
    )
    assert BatchCreateTransactionsResponse.FromString(encoded) == BatchCreateTransactionsResponse(
        results=[BatchItemResult(transaction=message_of(record, entries=True)) for record in made]
    )


@given(st.integers(0, 2**63 - 1))
def test_a_number(number: int) -> None:
    encoded = b"\x10" + varint(number)
    assert transaction_pb2.Transaction.FromString(encoded).sequence == number
