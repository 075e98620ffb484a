"""Whether a statement goes on where those before it ended.

Statements of an account are a chain: closing(n) = opening(n + 1), and numbers count up by one. What
breaks it is told: nothing is put in order by guesses.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum

from reconciliation.statements.model import Balance, Entry, Kind, NotBookedError, Statement


class Continuity(Enum):
    """What a statement is to those before it."""

    OK = "ok"
    DUPLICATE = "the same statement again"
    OVERLAP = "entries of days that another statement has"
    GAP = "a statement between is missing"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a statement is, to which of the earlier ones (their index), and why."""

    continuity: Continuity
    index: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Past:
    """What is needed of a statement to judge others by: a few values, and a hash for each entry.

    `entries` are sorted and have equal ones as often as the statement has them: two equal lines of
    a day are two. `first_day` and `last_day` are those that the statement covers.
    """

    account: str
    currency: str
    file_sha256: bytes
    position: int
    statement_id: str
    number: int | None
    page: int | None
    opening: Balance
    closing: Balance
    first_day: date
    last_day: date
    entries: tuple[bytes, ...]

    @property
    def order(self) -> tuple[date, int, int]:
        """Where the statement is in the chain of its account."""
        return self.closing.date, self.number or 0, self.page or 0


def past_of(statement: Statement) -> Past:
    """A proved statement as those after it see it. Raises NotBookedError for reports."""
    if statement.kind is not Kind.BOOKED or statement.opening is None or statement.closing is None:
        raise NotBookedError(f"{statement.version} is no statement of booked entries")
    booked = statement.booked()
    days = [entry.booking_date for entry in booked if entry.booking_date is not None]
    closing_day = statement.closing.date
    return Past(
        statement.account.identification,
        statement.currency,
        statement.file_sha256,
        statement.position,
        statement.statement_id,
        # Banks that do not count write 0.
        statement.number or None,
        statement.page,
        statement.opening,
        statement.closing,
        min([statement.period_start or closing_day, *days]),
        max([statement.period_end or closing_day, *days]),
        tuple(sorted(map(identity_of, booked))),
    )


def judge(earlier: Sequence[Past], new: Past) -> Verdict:
    """What a new statement is to the earlier ones of its account, whatever the order they came in.

    Raises ValueError if one of them is of another account or currency.
    """
    for past in earlier:
        if (past.account, past.currency) != (new.account, new.currency):
            raise ValueError("statements of one account in one currency were expected")
    shared = [(index, exclusion(past, new)) for index, past in enumerate(earlier)]
    for continuity in (Continuity.DUPLICATE, Continuity.OVERLAP):
        for index, found in shared:
            if found is not None and found[0] is continuity:
                return Verdict(continuity, index, found[1])
    ordered = sorted(range(len(earlier)), key=lambda index: earlier[index].order)
    before = [index for index in ordered if earlier[index].order < new.order]
    after = [index for index in ordered if earlier[index].order > new.order]
    if before and (why := gap(earlier[before[-1]], new)):
        return Verdict(Continuity.GAP, before[-1], why)
    if after and (why := gap(new, earlier[after[0]])):
        return Verdict(Continuity.GAP, after[0], why)
    return Verdict(Continuity.OK, before[-1] if before else None, "")


def exclusion(one: Past, other: Past) -> tuple[Continuity, str] | None:
    """Whether two statements have the same lines, so that these count once, and why: DUPLICATE or
    OVERLAP. It is the same whichever came first."""
    if why := _same(one, other):
        return Continuity.DUPLICATE, why
    if why := _overlap(one, other):
        return Continuity.OVERLAP, why
    return None


def identity_of(entry: Entry) -> bytes:
    """What makes an entry the same in another file: the money, its days and the bank's words.

    References alone do not: FITIDs come twice, and NONREF is everybody's.
    """
    said = (
        str(entry.amount_minor),
        str(entry.booking_date),
        str(entry.value_date),
        entry.bank_reference,
        entry.customer_reference,
        entry.end_to_end_id,
        entry.remittance,
        entry.counterparty,
        *(
            text
            for detail in entry.details
            for text in (
                str(detail.amount_minor),
                detail.bank_reference,
                detail.end_to_end_id,
                detail.remittance,
                detail.counterparty,
            )
        ),
    )
    return hashlib.sha256("\0".join(said).encode()).digest()


def _same(past: Past, new: Past) -> str:
    """Why two statements are the same; empty if they are not."""
    if (past.file_sha256, past.position) == (new.file_sha256, new.position):
        return "the same bytes"
    if past.entries != new.entries:
        return ""
    balances = (past.opening.amount_minor, past.closing)
    if balances != (new.opening.amount_minor, new.closing):
        return ""
    if new.statement_id and past.statement_id == new.statement_id and past.page == new.page:
        return "the same id, balances and entries"
    # Without entries, days without movement look alike, but not on the same day.
    if (past.number, past.page) == (new.number, new.page):
        return "the same number, balances and entries"
    return ""


def _overlap(past: Past, new: Past) -> str:
    """Why a statement has what another has; empty if it has not."""
    number = new.number is not None and (past.number, past.page) == (new.number, new.page)
    if number and past.closing.date.year == new.closing.date.year:
        return "the same number with other entries or balances"
    if past.last_day < new.first_day or new.last_day < past.first_day:
        return ""
    if _joins(past, new) or _joins(new, past):
        return ""
    if Counter(past.entries) & Counter(new.entries):
        return "the same entries on days that both have"
    return ""


def _joins(first: Past, second: Past) -> bool:
    # Several of a day need not have numbers.
    in_order = first.order <= second.order
    return in_order and first.closing.amount_minor == second.opening.amount_minor


def gap(first: Past, second: Past) -> str:
    """Why something is missing between two statements; empty if nothing is."""
    if first.closing.amount_minor != second.opening.amount_minor:
        return "the closing balance before is not the opening balance after"
    if first.number is None or second.number is None:
        return ""
    if first.number == second.number:
        pages = (first.page or 1, second.page or 1)
        return "" if pages[1] == pages[0] + 1 else "a page between is missing"
    follows = second.number == first.number + 1
    # Many banks begin with 1 again each year.
    begins = second.number == 1 and first.closing.date.year < second.closing.date.year
    if not (follows or begins):
        return "a number between is missing"
    return "" if second.page in (None, 0, 1) else "the first page is missing"
