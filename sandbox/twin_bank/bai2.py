"""BAI2, version 2, as BAI's Cash Management Balance Reporting Specifications have it."""

from sandbox.twin_bank.books import Entry, EntryKind
from sandbox.twin_bank.statement import Statement

# Type codes of BAI2, of credits and of debits.
_CREDITS = {
    EntryKind.PAYOUT: "142",
    EntryKind.RETURN: "257",
    EntryKind.OWN: "195",
}
_DEBITS = {
    EntryKind.DEBIT: "451",
    EntryKind.RETURN: "557",
    EntryKind.CHARGE: "698",
    EntryKind.OWN: "495",
}
_OPENING_LEDGER, _CLOSING_LEDGER = "010", "015"
# As many banks keep to for the sake of old readers.
_RECORD_CHARS = 80


def write_bai2(statement: Statement) -> bytes:
    """A file of one group with one account; the as-of date is the statement's."""
    day = f"{statement.day:%y%m%d}"
    account = [
        f"03,{statement.account},{statement.currency},{_OPENING_LEDGER},{statement.opening},,,"
        f"{_CLOSING_LEDGER},{statement.closing},,/"
    ]
    for entry in statement.entries:
        account += _entry(entry)
    total = statement.opening + statement.closing
    total += sum(abs(entry.amount) for entry in statement.entries)
    account.append(f"49,{total},{len(account) + 1}/")
    group = [f"02,COMPANY,TWINBANK,1,{day},,{statement.currency},2/", *account]
    group.append(f"98,{total},1,{len(group) + 1}/")
    file = [f"01,TWINBANK,COMPANY,{day},2359,{statement.number},,,2/", *group]
    file.append(f"99,{total},1,{len(file) + 1}/")
    return "".join(f"{record}\r\n" for record in file).encode("ascii")


def _entry(entry: Entry) -> list[str]:
    codes = _CREDITS if entry.amount >= 0 else _DEBITS
    head = (
        f"16,{codes[entry.kind]},{abs(entry.amount)},V,{entry.booked:%y%m%d},,"
        f"{entry.reference},{entry.end_to_end_id}"
    )
    words = f"{entry.counterparty} {entry.remittance}".split()
    if not words:
        return [f"{head},/"]
    # A text is cut between words: its continuation is told apart by a space.
    records, record = [], f"{head},{words[0]}"
    for word in words[1:]:
        if len(record) + 1 + len(word) > _RECORD_CHARS:
            records.append(record)
            record = f"88,{word}"
        else:
            record += f" {word}"
    return [*records, record]
