"""Of several reasons that apply the first in docs/ledger-reasons.md is answered: pair by pair."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import pytest
from google.protobuf.message import Message

from docs.reasons import failures_of
from ledger.errors import CODES
from ledger.refusal import Reason
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import transaction_reads_pb2 as reads
from ledger.v1.entry_pb2 import EntryPart, Precondition
from ledger.v1.transaction_pb2 import Exchange, TransactionInput
from money.v1.money_pb2 import Money
from tests.ledger.client import (
    CREDIT_NORMAL,
    LEDGER,
    LedgerClient,
    credit,
    debit,
    draft,
    failure_of,
    transfer,
)
from tests.ledger.requests import (
    at,
    create,
    create_ledger,
    named,
    part,
    post,
    reverse,
    send,
)

PRECEDENCE = {failure.reason: failure.precedence for failure in failures_of("ledger")[1]}


def first_of(reasons: Sequence[str]) -> str:
    return min(reasons, key=PRECEDENCE.__getitem__)


def test_the_rules_reasons_are_listed_in_the_documented_order() -> None:
    assert [*Reason] == sorted(Reason, key=lambda reason: PRECEDENCE[reason])
    documented = {failure.reason: failure.codes for failure in failures_of("ledger")[1]}
    assert {reason: (code.name,) for reason, code in CODES.items()} == {
        reason: documented[reason] for reason in CODES
    }


# Each fault is added to a draft that is good otherwise, and leaves all else of it as it is.
def unknown_account(draft: TransactionInput) -> None:
    draft.entries.extend([debit("nobody", 1), credit("payable", 1)])


def closed_account(draft: TransactionInput) -> None:
    draft.entries.extend([debit("closed", 1), credit("payable", 1)])


def wrong_currency(draft: TransactionInput) -> None:
    draft.entries.extend([debit("cash", 1, "USD"), credit("payable", 1, "USD")])


def unbalanced(draft: TransactionInput) -> None:
    draft.entries.append(debit("cash", 1))


def wrong_exchange(draft: TransactionInput) -> None:
    one, two = (Money(currency_code="EUR", minor_units=minor) for minor in (1, 2))
    draft.exchanges.append(Exchange(sold=one, bought=two, rate="1"))


def expired(draft: TransactionInput) -> None:
    draft.pending = True
    draft.expire_time.CopyFrom(at(0))


def wrong_version(draft: TransactionInput) -> None:
    condition = Precondition(expected_version=99)
    draft.entries.extend([debit("cash", 1, precondition=condition), credit("payable", 1)])


def out_of_bounds(draft: TransactionInput) -> None:
    condition = Precondition(min_posted_minor=99)
    draft.entries.extend([debit("receivable", 1, precondition=condition), credit("payable", 1)])


def below_floor(draft: TransactionInput) -> None:
    draft.entries.extend([debit("wallet", 1), credit("payable", 1)])


def above_ceiling(draft: TransactionInput) -> None:
    draft.entries.extend([debit("cash", 11), credit("capped", 11)])


def overflow(draft: TransactionInput) -> None:
    draft.entries.extend([*[debit("vast", 10**18)] * 10, *[credit("vaster", 10**18)] * 10])


DRAFT_FAULTS: dict[str, Callable[[TransactionInput], None]] = {
    "ACCOUNT_NOT_FOUND": unknown_account,
    "ACCOUNT_CLOSED": closed_account,
    "CURRENCY_MISMATCH": wrong_currency,
    "UNBALANCED": unbalanced,
    "EXCHANGE_MISMATCH": wrong_exchange,
    "EXPIRE_TIME_PASSED": expired,
    "VERSION_MISMATCH": wrong_version,
    "BALANCE_OUT_OF_BOUNDS": out_of_bounds,
    "FLOOR_BREACHED": below_floor,
    "CEILING_BREACHED": above_ceiling,
    "BALANCE_OVERFLOW": overflow,
}


@pytest.fixture
async def books(bank: LedgerClient) -> LedgerClient:
    await bank.account("closed")
    await bank.account("capped", CREDIT_NORMAL, max_available_minor=10)
    await bank.account("vast")
    await bank.account("vaster", CREDIT_NORMAL)
    await bank.create(draft(debit("cash", 10), credit("payable", 10)), "direct")
    await bank.create(transfer("closed", "cash", 10), "on-closed")
    await bank.create(transfer("cash", "closed", 10))
    await bank.close("closed")
    await bank.hold("payable", "cash", 10, "open")
    await bank.hold("payable", "cash", 10, "voided")
    await bank.void("voided")
    return bank


async def test_new_transactions(books: LedgerClient) -> None:
    answered, expected = {}, {}
    for pair in [*combinations(DRAFT_FAULTS, 2), *((reason, reason) for reason in DRAFT_FAULTS)]:
        # Whichever of the two comes first in the request.
        for faults in {pair, pair[::-1]}:
            wrong = transfer("payable", "cash", 1)
            for reason in dict.fromkeys(faults):
                DRAFT_FAULTS[reason](wrong)
            answered[faults] = (await failure_of(books.create(wrong))).reason
            expected[faults] = first_of(faults)
    assert answered == expected


# Parts that are wrong in one way, of a transaction of two legs of 10.
PART_FAULTS: dict[str, list[EntryPart]] = {
    "ENTRY_NOT_FOUND": [part(9, 1)],
    "AMOUNT_EXCEEDS": [part(0, 11), part(1, 11)],
    "UNBALANCED": [part(1, 1)],
}


def wrong_parts(faults: Sequence[str]) -> list[EntryPart]:
    """All of them at once: what one says of an entry is replaced by what the next one says."""
    return list({p.entry_index: p for fault in faults for p in PART_FAULTS[fault]}.values())


@pytest.mark.parametrize(
    ("to", "source", "excess", "of_source"),
    [
        (post, "open", "AMOUNT_EXCEEDS_HOLD", None),
        (post, "voided", "AMOUNT_EXCEEDS_HOLD", "HOLD_ALREADY_VOIDED"),
        (post, "direct", "AMOUNT_EXCEEDS_HOLD", "TRANSACTION_NOT_PENDING"),
        (post, "nothing", "AMOUNT_EXCEEDS_HOLD", "TRANSACTION_NOT_FOUND"),
        (reverse, "direct", "AMOUNT_EXCEEDS_ORIGINAL", None),
        (reverse, "open", "AMOUNT_EXCEEDS_ORIGINAL", "TRANSACTION_NOT_REVERSIBLE"),
        (reverse, "on-closed", "AMOUNT_EXCEEDS_ORIGINAL", "ACCOUNT_CLOSED"),
    ],
)
async def test_parts_of_earlier_transactions(
    books: LedgerClient,
    to: Callable[..., Message],
    source: str,
    excess: str,
    of_source: str | None,
) -> None:
    for faults in [*combinations(PART_FAULTS, 2), *((fault,) for fault in PART_FAULTS)]:
        reasons = [excess if fault == "AMOUNT_EXCEEDS" else fault for fault in faults]
        applying = reasons if of_source is None else [*reasons, of_source]
        error = await failure_of(send(books, to(named(source), wrong_parts(faults))))
        assert error.reason == first_of(applying), faults


def listed(**more: Any) -> Message:
    return reads.ListTransactionsRequest(**{"ledger": LEDGER, **more})


class Both(NamedTuple):
    """A request to which two reasons apply."""

    request: Any
    reasons: tuple[str, str]


def as_of(sequence: int, account: str) -> Message:
    point = balances.AsOf(sequence=sequence)
    return balances.GetBalanceRequest(ledger=LEDGER, account=account, as_of=point)


REQUESTS = {
    "a bad field in an unknown ledger": Both(
        listed(ledger="none", page_size=-1), ("INVALID_REQUEST", "LEDGER_NOT_FOUND")
    ),
    "a bad token in an unknown ledger": Both(
        listed(ledger="none", page_token="bad"), ("LEDGER_NOT_FOUND", "INVALID_PAGE_TOKEN")
    ),
    "a bad token and a bad field": Both(
        listed(page_size=-1, page_token="bad"), ("INVALID_REQUEST", "INVALID_PAGE_TOKEN")
    ),
    "a bad token, as of what is not": Both(
        balances.GetTrialBalanceRequest(
            ledger=LEDGER, page_token="bad", as_of=balances.AsOf(sequence=99)
        ),
        ("INVALID_PAGE_TOKEN", "SEQUENCE_NOT_REACHED"),
    ),
    "nobody's balance as of what is not": Both(
        as_of(99, account="nobody"), ("SEQUENCE_NOT_REACHED", "ACCOUNT_NOT_FOUND")
    ),
    "nobody's entries up to what is not": Both(
        entries.ListEntriesRequest(
            ledger=LEDGER, account="nobody", period=entries.StatementPeriod(through_sequence=99)
        ),
        ("SEQUENCE_NOT_REACHED", "ACCOUNT_NOT_FOUND"),
    ),
    "an id that stands for something else, on nobody": Both(
        create(transfer("nobody", "cash", 1)), ("REQUEST_ID_REUSED", "ACCOUNT_NOT_FOUND")
    ),
    "a ledger's id for another name that is taken": Both(
        create_ledger(LEDGER), ("REQUEST_ID_REUSED", "LEDGER_ALREADY_EXISTS")
    ),
}


async def test_requests(books: LedgerClient) -> None:
    used = await books.create(transfer("payable", "cash", 1))
    await send(books, create_ledger("another", request_id="a-ledger"))
    answered = {}
    for name, (request, reasons) in REQUESTS.items():
        if "REQUEST_ID_REUSED" in reasons:
            is_ledger = isinstance(request, ledgers.CreateLedgerRequest)
            request.request_id = "a-ledger" if is_ledger else used.request_id
        answered[name] = (await failure_of(send(books, request))).reason
    assert answered == {name: first_of(reasons) for name, (_, reasons) in REQUESTS.items()}
