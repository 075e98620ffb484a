"""Writes BAI2 files as BAI's Cash Management Balance Reporting Specifications have them."""

from collections.abc import Callable

from reconciliation.statements.model import Kind
from tests.reconciliation.statements.drawing import Drawn, Line

Total = Callable[[list[int]], int]


def write_bai2(
    drawn: list[Drawn], *, cut: bool = False, counted: "list[Drawn] | None" = None
) -> bytes:
    """One group for each account. `cut` has texts go on in continuation records; totals are those
    of `counted` if they are to be of other amounts."""
    records = [f"01,BANK,US,261130,2000,{drawn[0].statement_id},,,2/"]
    totals = []
    for each, of_totals in zip(drawn, counted or drawn, strict=True):
        group, total = _group(each, of_totals, cut=cut)
        records += group
        totals.append(total)
    records.append(f"99,{sum(totals)},{len(drawn)},{len(records) + 1}/")
    return "\n".join(records).encode() + b"\n"


def _group(drawn: Drawn, counted: Drawn, *, cut: bool) -> tuple[list[str], int]:
    modifier = "2" if drawn.kind is Kind.BOOKED else "3"
    header = f"02,US,BANK,1,{drawn.closed:%y%m%d},,{drawn.currency},{modifier}/"
    summary = ""
    total = 0
    if drawn.kind is Kind.BOOKED:
        summary = f",010,{drawn.opening},,,015,{drawn.closing},,"
        total = drawn.opening + drawn.closing
    else:
        summary = ",,,,"
    account = [f"03,{drawn.account},{drawn.currency}{summary}/"]
    for line in drawn.lines:
        account += _entry(line, cut=cut)
    total += sum(abs(line.amount) for line in counted.lines)
    account.append(f"49,{total},{len(account) + 1}/")
    records = [header, *account]
    return [*records, f"98,{total},1,{len(records) + 1}/"], total


def _entry(line: Line, *, cut: bool) -> list[str]:
    funds = f"V,{line.value:%y%m%d}," if line.value else "Z"
    head = (
        f"16,{line.code},{abs(line.amount)},{funds},{line.bank_reference},{line.customer_reference}"
    )
    words = line.remittance.split(" ")
    if not line.remittance:
        return [f"{head},/"]
    if cut and len(words) > 1:
        half = len(words) // 2
        return [f"{head},{' '.join(words[:half])}", f"88,{' '.join(words[half:])}"]
    return [f"{head},{line.remittance}"]
