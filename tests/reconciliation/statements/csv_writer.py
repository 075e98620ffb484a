"""Writes CSV as RFC 4180 has it, in the columns of a mapping."""

from reconciliation.statements.csv_mapping import CsvMapping, Order, Sign
from tests.reconciliation.statements.drawing import Drawn, Line


def write_csv(drawn: Drawn, mapping: CsvMapping) -> bytes:
    """The statement below headings, between as many other rows as the mapping passes over."""
    headings = mapping.columns.declared()
    rows = [["A bank's title"]] * (mapping.heading_row - 1)
    rows.append(["Not read", *headings.values()])
    lines = []
    balance = drawn.opening
    for line in drawn.lines:
        balance += line.amount
        cells = _cells(drawn, line, balance, mapping)
        lines.append(["x", *(cells[name] for name in headings)])
    rows += lines if mapping.order is Order.OLDEST_FIRST else lines[::-1]
    rows += [["The bank's end"]] * mapping.footer_rows
    text = "".join(
        mapping.delimiter.join(_quoted(cell, mapping.quote) for cell in row) + "\r\n"
        for row in rows
    )
    return text.encode(mapping.encoding)


def _quoted(cell: str, quote: str) -> str:
    return quote + cell.replace(quote, quote * 2) + quote


def _cells(drawn: Drawn, line: Line, balance: int, mapping: CsvMapping) -> dict[str, str]:
    unsigned = _amount(drawn, line.amount, mapping)
    sign = "" if line.is_credit else "-"
    words = mapping.credit_words if line.is_credit else mapping.debit_words
    return {
        "booking_date": _day(line.booked, mapping),
        "value_date": _day(line.value, mapping) if line.value else "",
        "amount": (sign if mapping.sign is Sign.SIGNED else "") + unsigned,
        "credit": unsigned if line.is_credit else "",
        "debit": "" if line.is_credit else unsigned,
        "indicator": words[0] if words else "",
        "balance": ("-" if balance < 0 else "") + _amount(drawn, balance, mapping),
        "account": drawn.account,
        "currency": drawn.currency,
        "bank_reference": line.bank_reference,
        "customer_reference": line.customer_reference,
        "end_to_end_id": line.end_to_end_id,
        "remittance": line.remittance,
        "counterparty": line.name,
        "transaction_code": line.code,
    }


def _amount(drawn: Drawn, minor: int, mapping: CsvMapping) -> str:
    whole, _, fraction = drawn.major(minor).partition(".")
    if mapping.thousands_mark:
        whole = f"{int(whole):,}".replace(",", mapping.thousands_mark)
    return whole + (mapping.decimal_mark + fraction if fraction else "")


def _day(day: object, mapping: CsvMapping) -> str:
    return format(day, mapping.date_format)
