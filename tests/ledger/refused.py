"""What the rules refuse: by name the request, its reason and the facts that belong to it.

The requests speak of the accounts and transactions of `books` in test_refusals.py.
"""

from datetime import timedelta
from typing import Any, NamedTuple

from google.protobuf.message import Message

from tests.ledger.client import credit, debit, transfer
from tests.ledger.requests import (
    ATOMIC,
    at,
    batch,
    both,
    close,
    create,
    create_account,
    item,
    leg,
    legs,
    move,
    named,
    part,
    post,
    reverse,
    sold,
    stamp,
    void,
    when,
)
from tests.ledger.running import START

LARGEST = 10**18
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
EXPIRY = START + timedelta(seconds=1)
LAPSED, NOW = "2026-01-05T12:00:01.000000Z", "2026-01-05T12:00:02.000000Z"
# Sequences of the transactions that are there.
DIRECT, OPEN, POSTED, THE_POST, CAPTURED, VOIDED, THE_VOID, EXPIRED = 1, 2, 3, 4, 5, 7, 8, 9
REVERSED, THE_REVERSAL = 11, 12


class Refused(NamedTuple):
    """A request and what it is answered."""

    request: Message
    reason: str
    metadata: dict[str, str]


def refused(request: Message, reason: str, **metadata: Any) -> Refused:
    return Refused(request, reason, {key: str(value) for key, value in metadata.items()})


REFUSED = {
    "an account that is taken": refused(
        create_account("cash"), "ACCOUNT_ALREADY_EXISTS", account="cash"
    ),
    "a post of nothing there": refused(post(named(999)), "TRANSACTION_NOT_FOUND", transaction=999),
    "a void of the last sequence there can be": refused(
        void(named(INT64_MAX)), "TRANSACTION_NOT_FOUND", transaction=INT64_MAX
    ),
    "a post of another ledger's hold": refused(
        post(named("foreign")), "TRANSACTION_NOT_FOUND", transaction="foreign"
    ),
    "a post of what does not hold": refused(
        post(named("direct")), "TRANSACTION_NOT_PENDING", sequence=DIRECT
    ),
    "a void of a post": refused(
        void(named("the-post")), "TRANSACTION_NOT_PENDING", sequence=THE_POST
    ),
    "a post of a posted hold": refused(
        post(named("posted")), "HOLD_ALREADY_POSTED", sequence=POSTED, closed_by_sequence=THE_POST
    ),
    "a post of a voided hold": refused(
        post(named("voided")), "HOLD_ALREADY_VOIDED", sequence=VOIDED, closed_by_sequence=THE_VOID
    ),
    "a void of a voided hold": refused(
        void(named("voided")), "HOLD_ALREADY_VOIDED", sequence=VOIDED, closed_by_sequence=THE_VOID
    ),
    "a post of an expired hold": refused(
        post(named("expired")),
        "HOLD_EXPIRED",
        sequence=EXPIRED,
        expire_time=LAPSED,
    ),
    "a void of an expired hold": refused(
        void(named("expired")),
        "HOLD_EXPIRED",
        sequence=EXPIRED,
        expire_time=LAPSED,
    ),
    "a reversal of a hold": refused(
        reverse(named("posted")), "TRANSACTION_NOT_REVERSIBLE", sequence=POSTED
    ),
    "a reversal of a void": refused(
        reverse(named("the-void")), "TRANSACTION_NOT_REVERSIBLE", sequence=THE_VOID
    ),
    "a reversal of a reversal": refused(
        reverse(named("the-reversal")), "TRANSACTION_NOT_REVERSIBLE", sequence=THE_REVERSAL
    ),
    "a reversal of an expiry": refused(
        reverse(named(EXPIRED + 1)), "TRANSACTION_NOT_REVERSIBLE", sequence=EXPIRED + 1
    ),
    "a part of an entry that is not there": refused(
        post(named("open"), [part(0, 1), part(2, 1)]),
        "ENTRY_NOT_FOUND",
        sequence=OPEN,
        entry_index=2,
    ),
    "a part of the last entry there can be": refused(
        reverse(named("direct"), [part(2**31 - 1, 1)]),
        "ENTRY_NOT_FOUND",
        sequence=DIRECT,
        entry_index=2**31 - 1,
    ),
    "two parts of one entry": refused(
        post(named("open"), [part(0, 1), part(0, 1), part(1, 2)]),
        "ENTRY_NOT_FOUND",
        sequence=OPEN,
        entry_index=0,
    ),
    "more than is held": refused(
        post(named("open"), both(11)),
        "AMOUNT_EXCEEDS_HOLD",
        sequence=OPEN,
        entry_index=0,
        requested_minor=11,
        remaining_minor=10,
    ),
    "more than is still held": refused(
        post(named("captured"), both(5)),
        "AMOUNT_EXCEEDS_HOLD",
        sequence=CAPTURED,
        entry_index=0,
        requested_minor=5,
        remaining_minor=4,
    ),
    "more than is left to reverse": refused(
        reverse(named("reversed"), both(7)),
        "AMOUNT_EXCEEDS_ORIGINAL",
        sequence=REVERSED,
        entry_index=0,
        requested_minor=7,
        remaining_minor=6,
    ),
    "parts out of balance": refused(
        post(named("open"), [part(0, 2), part(1, 1)]),
        "UNBALANCED",
        currency_code="EUR",
        debits_minor=2,
        credits_minor=1,
    ),
    "half of a reversal": refused(
        reverse(named("direct"), [part(1, 1)]),
        "UNBALANCED",
        currency_code="EUR",
        debits_minor=0,
        credits_minor=1,
    ),
    "a leg on nobody": refused(leg(account="nobody"), "ACCOUNT_NOT_FOUND", account="nobody"),
    "closing nobody": refused(close("nobody"), "ACCOUNT_NOT_FOUND", account="nobody"),
    "a leg on a closed account": refused(leg(account="closed"), "ACCOUNT_CLOSED", account="closed"),
    "closing a closed account": refused(close("closed"), "ACCOUNT_CLOSED", account="closed"),
    "another currency": refused(
        legs(debit("cash", 1, "USD"), credit("payable", 1, "USD")),
        "CURRENCY_MISMATCH",
        account="cash",
        currency_code="USD",
        account_currency_code="EUR",
    ),
    "more debits": refused(
        legs(debit("cash", 3), credit("payable", 2)),
        "UNBALANCED",
        currency_code="EUR",
        debits_minor=3,
        credits_minor=2,
    ),
    "credits beyond 64 bits": refused(
        legs(debit("cash", 1), *[credit("payable", LARGEST)] * 10),
        "UNBALANCED",
        currency_code="EUR",
        debits_minor=1,
        credits_minor=10 * LARGEST,
    ),
    "one currency of two": refused(
        legs(
            debit("cash", 1),
            credit("payable", 1),
            debit("yen", 2, "JPY"),
            credit("yen-owed", 1, "JPY"),
        ),
        "UNBALANCED",
        currency_code="JPY",
        debits_minor=2,
        credits_minor=1,
    ),
    "yen counted like cents": refused(
        sold(100, 16000, "160"),
        "EXCHANGE_MISMATCH",
        exchange_index=0,
        expected_minor=160,
        bought_minor=16000,
    ),
    "dinars counted like cents": refused(
        sold(10000, 3300, "0.33", currency="KWD"),
        "EXCHANGE_MISMATCH",
        exchange_index=0,
        expected_minor=33000,
        bought_minor=3300,
    ),
    "a remainder on nobody's account": refused(
        sold(100, 161, "160"),
        "EXCHANGE_MISMATCH",
        exchange_index=0,
        expected_minor=160,
        bought_minor=161,
    ),
    "an expiry that has passed": refused(
        move(pending=True, expire_time=stamp(START)),
        "EXPIRE_TIME_PASSED",
        expire_time="2026-01-05T12:00:00.000000Z",
        record_time=NOW,
    ),
    "an expiry in the year 1": refused(
        move(pending=True, expire_time=at(-62135596800)),
        "EXPIRE_TIME_PASSED",
        expire_time="0001-01-01T00:00:00.000000Z",
        record_time=NOW,
    ),
    "another version": refused(
        when(expected_version=2),
        "VERSION_MISMATCH",
        account="payable",
        expected_version=2,
        version=1,
    ),
    "the highest version": refused(
        when(expected_version=INT64_MAX),
        "VERSION_MISMATCH",
        account="payable",
        expected_version=INT64_MAX,
        version=1,
    ),
    "the highest lower bound": refused(
        when(min_posted_minor=INT64_MAX),
        "BALANCE_OUT_OF_BOUNDS",
        account="payable",
        bound="min_posted_minor",
        bound_minor=INT64_MAX,
        balance_minor=101,
    ),
    "the lowest upper bound": refused(
        when(max_available_minor=INT64_MIN),
        "BALANCE_OUT_OF_BOUNDS",
        account="payable",
        bound="max_available_minor",
        bound_minor=INT64_MIN,
        balance_minor=101,
    ),
    "an overdraft": refused(
        create(transfer("payable", "wallet", 1)),
        "FLOOR_BREACHED",
        account="wallet",
        limit="min_available_minor",
        limit_minor=0,
        balance_minor=-1,
    ),
    "over a ceiling": refused(
        create(transfer("capped", "cash", 11)),
        "CEILING_BREACHED",
        account="capped",
        limit="max_posted_minor",
        limit_minor=10,
        balance_minor=11,
    ),
    "a total beyond 64 bits": refused(
        legs(*[debit("cash", LARGEST)] * 10, *[credit("payable", LARGEST)] * 10),
        "BALANCE_OVERFLOW",
        account="cash",
    ),
    "closing with a balance": refused(
        close("payable"),
        "ACCOUNT_NOT_EMPTY",
        account="payable",
        posted_minor=100,
        pending_debits_minor=0,
        pending_credits_minor=0,
    ),
    "an atomic batch with one that cannot be": refused(
        batch(item(), item(), item(pending=True, expire_time=at(0)), mode=ATOMIC),
        "EXPIRE_TIME_PASSED",
        item_index=2,
        expire_time="1970-01-01T00:00:00.000000Z",
        record_time=NOW,
    ),
}
