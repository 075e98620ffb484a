"""Writes MT940 and MT942 as SWIFT's message reference guide has their fields."""

import textwrap

from reconciliation.statements.model import EntryStatus, Kind
from tests.reconciliation.statements.drawing import Drawn, Line

LINE_CHARS = 65
PIECE_CHARS = 27
REMITTANCE_PIECES = (*range(20, 30), *range(60, 64))


def write_swift(
    drawn: list[Drawn], form: str = "plain", *, in_blocks: bool = False, ending: str = "\r\n"
) -> bytes:
    """Messages one after the other; `form` is that of :86:, plain or numbered (German)."""
    messages = []
    for each in drawn:
        lines = _message(each, form)
        kind = "940" if each.kind is Kind.BOOKED else "942"
        if in_blocks:
            lines = [f"{{1:F01BANKDEFFAXXX0000000000}}{{2:O{kind}N}}{{4:", *lines, "-}"]
        else:
            lines = [*lines, "-"]
        messages.append(ending.join(lines) + ending)
    return "".join(messages).encode()


def _message(drawn: Drawn, form: str) -> list[str]:
    number = str(drawn.number) if drawn.page is None else f"{drawn.number}/{drawn.page}"
    lines = [f":20:{drawn.statement_id}", f":25:{drawn.account}", f":28C:{number}"]
    is_page = "M" if drawn.page not in (None, 1) else "F"
    if drawn.kind is Kind.BOOKED:
        lines.append(f":60{is_page}:{_balance(drawn, drawn.opening, drawn.opened)}")
    else:
        lines += [f":34F:{drawn.currency}{_amount(drawn, 0)}", ":13D:2611301200+0100"]
    for line in drawn.lines:
        lines += _entry(drawn, line, form)
    if drawn.kind is Kind.BOOKED:
        lines.append(f":62F:{_balance(drawn, drawn.closing, drawn.closed)}")
        lines.append(f":64:{_balance(drawn, drawn.closing - 1, drawn.closed)}")
    else:
        for tag, is_credit in (("90D", False), ("90C", True)):
            of_side = [line.amount for line in drawn.lines if line.is_credit is is_credit]
            total = _amount(drawn, sum(of_side))
            lines.append(f":{tag}:{len(of_side)}{drawn.currency}{total}")
    if drawn.note:
        lines += f":86:{drawn.note}".split("\n")
    return lines


def _amount(drawn: Drawn, minor: int) -> str:
    """With a comma, which is there without decimals, too."""
    text = drawn.major(minor).replace(".", ",")
    return text if "," in text else f"{text},"


def _balance(drawn: Drawn, minor: int, day: object) -> str:
    side = "C" if minor >= 0 else "D"
    return f"{side}{day:%y%m%d}{drawn.currency}{_amount(drawn, minor)}"


def _entry(drawn: Drawn, line: Line, form: str) -> list[str]:
    mark = "C" if line.is_credit else "D"
    if line.is_reversal:
        # RC takes a credit back: it is a debit.
        mark = "RD" if line.is_credit else "RC"
    if line.status is EntryStatus.PENDING:
        mark = f"E{mark}"
    value = line.value or line.booked
    swift_code = line.code.split("/")[0]
    supplement = line.information.split("\n")[-1]
    head = (
        f":61:{value:%y%m%d}{line.booked:%m%d}{mark}{drawn.currency[2]}"
        f"{_amount(drawn, line.amount)}{swift_code}{line.customer_reference}"
    )
    if line.bank_reference:
        head += f"//{line.bank_reference}"
    lines = [head]
    if form == "plain":
        if supplement:
            lines.append(supplement)
        if line.remittance:
            lines += f":86:{line.remittance}".split("\n")
        return lines
    return [*lines, *_numbered(line)]


def _numbered(line: Line) -> list[str]:
    """`166?00TEXT?20EREF+…?21SVWZ+…?32NAME`, in pieces of 27 and lines of 65 characters."""
    text = f"{line.code.split('/')[1]}?00{line.information}"
    pieces = []
    for mark, value in (("EREF+", line.end_to_end_id), ("SVWZ+", line.remittance)):
        if value:
            marked = mark + value
            pieces += [marked[at : at + PIECE_CHARS] for at in range(0, len(marked), PIECE_CHARS)]
    text += "".join(
        f"?{number}{piece}" for number, piece in zip(REMITTANCE_PIECES, pieces, strict=False)
    )
    for number, at in ((32, 0), (33, PIECE_CHARS)):
        if line.name[at : at + PIECE_CHARS]:
            text += f"?{number}{line.name[at : at + PIECE_CHARS]}"
    whole = f":86:{text}"
    return [whole[at : at + LINE_CHARS] for at in range(0, len(whole), LINE_CHARS)]


def fold(text: str) -> str:
    """Lines of at most 65 characters."""
    return "\n".join(textwrap.wrap(text, LINE_CHARS))
