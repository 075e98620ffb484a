"""Statements in the form of the contract."""

from datetime import UTC, date, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from money.v1.money_pb2 import Money
from reconciliation.statements.model import Balance, Format
from reconciliation.v1 import statement_pb2 as pb

FORMATS = {
    pb.STATEMENT_FORMAT_CAMT: Format.CAMT,
    pb.STATEMENT_FORMAT_MT940: Format.MT940,
    pb.STATEMENT_FORMAT_MT942: Format.MT942,
    pb.STATEMENT_FORMAT_BAI2: Format.BAI2,
    pb.STATEMENT_FORMAT_OFX: Format.OFX,
    pb.STATEMENT_FORMAT_CSV: Format.CSV,
}


def statement_message(row: Any) -> pb.BankStatement:
    """A statement."""
    return pb.BankStatement(
        statement_id=row.statement_id,
        bank_account=row.bank_account,
        file_name=row.file_name,
        file_sha256=row.file_sha256,
        file_bytes=row.byte_count,
        position=row.position,
        kind=pb.StatementKind.Value(f"STATEMENT_KIND_{row.kind}"),
        version=row.version,
        number=row.number or 0,
        page=row.page or 0,
        opening=_balance(row.currency, row.opening_minor, row.opening_date),
        closing=_balance(row.currency, row.closing_minor, row.closing_date),
        first_day=row.first_day.isoformat(),
        last_day=row.last_day.isoformat(),
        line_count=row.line_count,
        continuity=pb.StatementContinuity.Value(
            f"STATEMENT_CONTINUITY_{row.continuity or 'UNSPECIFIED'}"
        ),
        other_statement_id=row.other_statement_id or 0,
        continuity_reason=row.continuity_reason,
        record_time=_stamp(row.record_time),
        client=row.client,
    )


def line_message(row: Any, currency: str) -> pb.StatementLine:
    """A line."""
    return pb.StatementLine(
        position=row.position,
        state=pb.LineState.Value(f"LINE_STATE_{row.state}"),
        amount=Money(currency_code=currency, minor_units=row.amount_minor),
        booking_date=_day(row.booking_date),
        value_date=_day(row.value_date),
        bank_reference=row.bank_reference,
        customer_reference=row.customer_reference,
        end_to_end_id=row.end_to_end_id,
        remittance=row.remittance,
        counterparty=row.counterparty,
        sha256=row.sha256,
        item_key=row.item_key,
    )


def to_balance(given: pb.StatementBalance) -> Balance:
    """A balance that was given with a file."""
    return Balance(given.amount.minor_units, date.fromisoformat(given.date))


def _balance(currency: str, minor: int | None, day: date | None) -> pb.StatementBalance | None:
    if minor is None or day is None:
        return None
    amount = Money(currency_code=currency, minor_units=minor)
    return pb.StatementBalance(amount=amount, date=day.isoformat())


def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()


def _stamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time.astimezone(UTC))
    return stamp
