"""MT940, with :86: in the form of German banks (DFÜ agreement, annex 3)."""

from collections.abc import Iterator

from sandbox.twin_bank.books import Entry, EntryKind
from sandbox.twin_bank.statement import Statement, major

# A line of :86:, and a piece of text in it.
_LINE_CHARS = 65
_PIECE_CHARS = 27
_REMITTANCE_FIELDS = (*range(20, 30), *range(60, 64))
_NAME_FIELDS = (32, 33)
# SWIFT's type of a transaction, and the German business transaction code.
_CODES = {
    EntryKind.PAYOUT: ("NTRF", "166"),
    EntryKind.DEBIT: ("NDDT", "105"),
    EntryKind.RETURN: ("NRTI", "159"),
    EntryKind.CHARGE: ("NCHG", "808"),
    EntryKind.OWN: ("NMSC", "177"),
}


def write_mt940(statement: Statement) -> bytes:
    """One message."""
    lines = [
        f":20:{statement.statement_id}",
        f":25:{statement.account}",
        f":28C:{statement.number:05}/001",
        f":60F:{_balance(statement, statement.opening, f'{statement.opened:%y%m%d}')}",
    ]
    for entry in statement.entries:
        lines.append(_line(entry, statement))
        lines += _information(entry)
    closed = f"{statement.day:%y%m%d}"
    lines += [f":62F:{_balance(statement, statement.closing, closed)}", "-"]
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def _amount(minor: int, statement: Statement) -> str:
    text = major(minor, statement.currency, ",")
    return text if "," in text else f"{text},"


def _balance(statement: Statement, minor: int, day: str) -> str:
    side = "C" if minor >= 0 else "D"
    return f"{side}{day}{statement.currency}{_amount(minor, statement)}"


def _line(entry: Entry, statement: Statement) -> str:
    mark = "C" if entry.amount >= 0 else "D"
    if entry.is_reversal:
        # What takes a credit back is RC, and debits.
        mark = "RC" if entry.amount < 0 else "RD"
    code, _ = _CODES[entry.kind]
    return (
        f":61:{entry.booked:%y%m%d%m%d}{mark}{statement.currency[2]}"
        f"{_amount(entry.amount, statement)}{code}NONREF//{entry.reference}"
    )


def _information(entry: Entry) -> list[str]:
    _, code = _CODES[entry.kind]
    pieces: list[str] = []
    for mark, text in (("EREF+", entry.end_to_end_id), ("SVWZ+", entry.remittance)):
        if text:
            pieces += _cut(mark + text, _PIECE_CHARS)
    fields = [*zip(_REMITTANCE_FIELDS, pieces, strict=False)]
    fields += zip(_NAME_FIELDS, _cut(entry.counterparty, _PIECE_CHARS), strict=False)
    text = f":86:{code}?00STRIPE" if entry.shares else f":86:{code}?00BOOKING"
    text += "".join(f"?{number}{piece}" for number, piece in fields)
    return [*_cut(text, _LINE_CHARS)]


def _cut(text: str, chars: int) -> Iterator[str]:
    """Pieces of a text, none of which begins with a sign that would end the message."""
    while text:
        end = chars
        while text[end : end + 1] == "-":
            end -= 1
        yield text[:end]
        text = text[end:]
