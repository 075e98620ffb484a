"""Why the rules refuse, with all that they tell of it, and what they record where they do not."""

from collections.abc import Callable
from typing import Any

import pytest

from ledger.accounts import Account, Effect, Limits, Side
from ledger.book import Book, Source, SourceEntry
from ledger.exchange import Exchange
from ledger.posting import Draft, Kind, Posted, Precondition, open_draft
from ledger.refusal import Reason, Refusal
from ledger.settlement import Post, Reverse, Void, expire, post, reverse, void
from ledger.times import text_of

DEBIT, CREDIT = Side.DEBIT, Side.CREDIT
POST, HOLD, RELEASE = Effect.POST, Effect.HOLD, Effect.RELEASE
NOW_US = 1_793_491_200_000_000
NOW_TEXT = "2026-11-01T00:00:00.000000Z"
# Posted debits, posted credits, pending debits, pending credits, version.
CASH, WALLET = (500, 100, 30, 20, 7), (100, 500, 20, 30, 8)
Totals = tuple[int, int, int, int, int]


def account(number: int, name: str, normal: Side, totals: Totals, **values: Any) -> Account:
    about = {"currency": "EUR", "limits": Limits(), **values}
    return Account(number=number, name=name, normal=normal, create_us=0, totals=totals, **about)


def new_book() -> Book:
    """Two accounts with a balance and holds, one in dollars, one that is closed; and of each kind
    of transaction one, of 30.00 EUR from the wallet to the cash, of which 20.00 are left."""
    accounts = [
        account(1, "cash", DEBIT, CASH),
        account(2, "wallet", CREDIT, WALLET),
        account(3, "dollars", DEBIT, (0, 0, 0, 0, 0), currency="USD"),
        account(4, "closed", CREDIT, (0, 0, 0, 0, 0), closed_us=NOW_US),
    ]
    book = Book({each.name: each for each in accounts}, text_of)
    settled = {5: (Kind.POST, 11), 6: (Kind.VOID, 12), 7: (Kind.EXPIRY, 13)}
    kinds = {1: Kind.DIRECT, 2: Kind.PENDING, 3: Kind.POST, 4: Kind.VOID, 8: Kind.EXPIRY}
    kinds |= {9: Kind.REVERSAL, **dict.fromkeys(settled, Kind.PENDING)}
    for sequence, kind in kinds.items():
        left = 0 if sequence in settled else 20
        entries = [
            SourceEntry(0, "cash", DEBIT, "EUR", 30, left),
            SourceEntry(1, "wallet", CREDIT, "EUR", 30, left),
        ]
        expires = NOW_US if kind is Kind.PENDING else None
        book.sources[sequence] = Source(sequence, kind, expires, entries, settled.get(sequence))
    book.sources[10] = Source(10, Kind.DIRECT, None, [SourceEntry(3, "closed", DEBIT, "EUR", 5, 5)])
    book.sources[20] = Source(
        20,
        Kind.DIRECT,
        None,
        [
            SourceEntry(2, "cash", DEBIT, "EUR", 30, 0),
            SourceEntry(3, "wallet", CREDIT, "EUR", 30, 0),
        ],
    )
    book.sequence_of = {"named": 2}
    return book


def draft(*legs: Any, **values: Any) -> Callable[[Book], object]:
    plain = [(*leg, None) if len(leg) == 4 else leg for leg in legs]
    return lambda book: open_draft(book, Draft(plain, **values), NOW_US)


def pays(condition: Precondition | None = None, amount: int = 10) -> tuple[Any, Any]:
    return (
        ("cash", CREDIT, amount, "EUR", condition),
        ("wallet", DEBIT, amount, "EUR", None),
    )


Rules = Callable[[Book], object]
EXCESS = "entry {0} of transaction {1} has {2} left, not {3}"


def excess(index: int, sequence: int, left: int, asked: int) -> tuple[str, dict[str, str]]:
    return EXCESS.format(index, sequence, left, asked), {
        "sequence": str(sequence),
        "entry_index": str(index),
        "requested_minor": str(asked),
        "remaining_minor": str(left),
    }


def no_entry(index: int) -> tuple[str, dict[str, str]]:
    return (
        f"transaction 2 has no entry {index} to take a part of, or it is named twice",
        {"sequence": "2", "entry_index": str(index)},
    )


def bound(name: str, at: int, balance: int) -> tuple[str, dict[str, str]]:
    return f"cash would have {balance}, outside its {name} of {at}", {
        "account": "cash",
        "bound": name,
        "bound_minor": str(at),
        "balance_minor": str(balance),
    }


def unbalanced(debited: int, credited: int) -> tuple[str, dict[str, str]]:
    return f"debits of {debited} and credits of {credited} EUR differ", {
        "currency_code": "EUR",
        "debits_minor": str(debited),
        "credits_minor": str(credited),
    }


REFUSED: dict[str, tuple[Rules, Reason, tuple[str, dict[str, str]]]] = {
    "no account": (
        draft(("cash", DEBIT, 1, "EUR"), ("none", CREDIT, 1, "EUR")),
        Reason.ACCOUNT_NOT_FOUND,
        ("there is no account none", {"account": "none"}),
    ),
    "a closed account before another currency": (
        draft(("cash", DEBIT, 1, "USD"), ("closed", CREDIT, 1, "EUR")),
        Reason.ACCOUNT_CLOSED,
        ("closed is closed", {"account": "closed"}),
    ),
    "another currency": (
        draft(("cash", DEBIT, 1, "EUR"), ("dollars", CREDIT, 1, "EUR")),
        Reason.CURRENCY_MISMATCH,
        (
            "dollars takes USD, not EUR",
            {"account": "dollars", "currency_code": "EUR", "account_currency_code": "USD"},
        ),
    ),
    "not balanced": (
        draft(
            ("cash", DEBIT, 10, "EUR"),
            ("cash", DEBIT, 5, "EUR"),
            ("wallet", CREDIT, 14, "EUR"),
            ("dollars", DEBIT, 7, "USD"),
            ("dollars", CREDIT, 7, "USD"),
        ),
        Reason.UNBALANCED,
        unbalanced(15, 14),
    ),
    "not balanced in any currency": (
        draft(
            ("dollars", DEBIT, 7, "USD"),
            ("dollars", CREDIT, 7, "USD"),
            ("wallet", CREDIT, 1, "EUR"),
        ),
        Reason.UNBALANCED,
        unbalanced(0, 1),
    ),
    "expired": (
        draft(*pays(), pending=True, expire_us=NOW_US),
        Reason.EXPIRE_TIME_PASSED,
        (
            "the expiry is not in the future",
            {"expire_time": NOW_TEXT, "record_time": NOW_TEXT},
        ),
    ),
    "version before bounds": (
        draft(*pays(Precondition(6, 1_000, None, None, None))),
        Reason.VERSION_MISMATCH,
        (
            "cash is at version 7, not 6",
            {"account": "cash", "expected_version": "6", "version": "7"},
        ),
    ),
    "least posted": (
        draft(*pays(Precondition(7, 391, None, None, None))),
        Reason.BALANCE_OUT_OF_BOUNDS,
        bound("min_posted_minor", 391, 390),
    ),
    "most posted": (
        draft(*pays(Precondition(None, 390, 389, 9_999, None))),
        Reason.BALANCE_OUT_OF_BOUNDS,
        bound("max_posted_minor", 389, 390),
    ),
    "least available": (
        draft(*pays(Precondition(None, None, None, 371, None))),
        Reason.BALANCE_OUT_OF_BOUNDS,
        bound("min_available_minor", 371, 370),
    ),
    "most available": (
        draft(*pays(Precondition(None, None, 390, 370, 369))),
        Reason.BALANCE_OUT_OF_BOUNDS,
        bound("max_available_minor", 369, 370),
    ),
    "no transaction": (
        lambda book: post(book, Post(99), 50),
        Reason.TRANSACTION_NOT_FOUND,
        ("there is no transaction 99", {"transaction": "99"}),
    ),
    "no transaction of that name": (
        lambda book: void(book, Void("other"), 50),
        Reason.TRANSACTION_NOT_FOUND,
        ("there is no transaction other", {"transaction": "other"}),
    ),
    **{
        f"not pending: {sequence}": (
            (lambda key: lambda book: post(book, Post(key), 50))(sequence),
            Reason.TRANSACTION_NOT_PENDING,
            (f"transaction {sequence} is not pending", {"sequence": str(sequence)}),
        )
        for sequence in (1, 3, 4, 8, 9)
    },
    "posted": (
        lambda book: void(book, Void(5), 50),
        Reason.HOLD_ALREADY_POSTED,
        (
            "the hold 5 was posted by transaction 11",
            {"sequence": "5", "closed_by_sequence": "11"},
        ),
    ),
    "voided": (
        lambda book: post(book, Post(6), 50),
        Reason.HOLD_ALREADY_VOIDED,
        (
            "the hold 6 was voided by transaction 12",
            {"sequence": "6", "closed_by_sequence": "12"},
        ),
    ),
    "hold expired": (
        lambda book: post(book, Post(7), 50),
        Reason.HOLD_EXPIRED,
        ("the hold 7 has expired", {"sequence": "7", "expire_time": NOW_TEXT}),
    ),
    **{
        f"not reversible: {sequence}": (
            (lambda key: lambda book: reverse(book, Reverse(key)))(sequence),
            Reason.TRANSACTION_NOT_REVERSIBLE,
            (f"transaction {sequence} cannot be reversed", {"sequence": str(sequence)}),
        )
        for sequence in (2, 4, 8, 9)
    },
    "no entry": (
        lambda book: post(book, Post(2, [(0, 1), (2, 1)]), 50),
        Reason.ENTRY_NOT_FOUND,
        no_entry(2),
    ),
    "an entry twice": (
        lambda book: post(book, Post(2, [(1, 1), (1, 1)]), 50),
        Reason.ENTRY_NOT_FOUND,
        no_entry(1),
    ),
    "more than is held": (
        lambda book: post(book, Post(2, [(0, 20), (1, 21)]), 50),
        Reason.AMOUNT_EXCEEDS_HOLD,
        excess(1, 2, 20, 21),
    ),
    "more than is left": (
        lambda book: reverse(book, Reverse(1, [(0, 21), (1, 21)])),
        Reason.AMOUNT_EXCEEDS_ORIGINAL,
        excess(0, 1, 20, 21),
    ),
    "nothing is left": (
        lambda book: reverse(book, Reverse(20)),
        Reason.AMOUNT_EXCEEDS_ORIGINAL,
        excess(2, 20, 0, 30),
    ),
    "parts of a hold": (
        lambda book: post(book, Post(2, [(0, 20), (1, 19)]), 50),
        Reason.UNBALANCED,
        unbalanced(20, 19),
    ),
    "parts of a transaction": (
        lambda book: reverse(book, Reverse(1, [(1, 20)])),
        Reason.UNBALANCED,
        unbalanced(0, 20),
    ),
    "a closed account before what is not balanced": (
        lambda book: reverse(book, Reverse(10)),
        Reason.ACCOUNT_CLOSED,
        ("closed is closed", {"account": "closed"}),
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_refusal_tells_all_and_moves_nothing(why: str) -> None:
    refused, reason, (message, metadata) = REFUSED[why]
    book, untouched = new_book(), new_book()
    with pytest.raises(Refusal) as raised:
        refused(book)
    refusal = raised.value
    assert (refusal.reason, refusal.message, refusal.metadata) == (reason, message, metadata)
    assert book.accounts == untouched.accounts
    assert book.sources == untouched.sources
    assert book.changed == {}


def shown(posted: list[Posted]) -> list[tuple[Any, ...]]:
    return [(entry[0].name, *entry[1:]) for entry in posted]


@pytest.mark.parametrize(
    "condition",
    [
        None,
        Precondition(None, None, None, None, None),
        # Each at its edge: 500 - 100 - 10 posted, of which holds may take 20.
        Precondition(7, 390, 390, 370, 370),
    ],
)
def test_a_direct_transaction_moves_what_is_posted(condition: Precondition | None) -> None:
    book = new_book()
    posted = open_draft(book, Draft(pays(condition)), NOW_US)
    assert shown(posted) == [
        ("cash", CREDIT, POST, 10, None, 500, 110, 30, 20, 8),
        ("wallet", DEBIT, POST, 10, None, 110, 500, 20, 30, 9),
    ]
    assert book.accounts["cash"].totals == (500, 110, 30, 20, 8)
    assert [each.name for each in book.changed.values()] == ["cash", "wallet"]


def test_a_pending_transaction_moves_what_is_held() -> None:
    book = new_book()
    posted = open_draft(book, Draft(pays(), pending=True, expire_us=NOW_US + 1), NOW_US)
    assert shown(posted) == [
        ("cash", CREDIT, HOLD, 10, None, 500, 100, 30, 30, 8),
        ("wallet", DEBIT, HOLD, 10, None, 100, 500, 30, 30, 9),
    ]


def left_of(book: Book, sequence: int) -> list[int]:
    return [entry.remaining for entry in book.sources[sequence].entries]


@pytest.mark.parametrize(
    ("request_", "released", "units", "left"),
    [
        (Post(2), 20, 20, 0),
        (Post("named"), 20, 20, 0),
        (Post(2, [(0, 20), (1, 20)]), 20, 20, 0),
        (Post(2, [(1, 5), (0, 5)]), 20, 5, 0),
        (Post(2, [(0, 5), (1, 5)], keep_rest=True), 5, 5, 15),
    ],
)
def test_a_hold_is_posted_in_full_or_part(
    request_: Post, released: int, units: int, left: int
) -> None:
    book = new_book()
    source, posted = post(book, request_, 50)
    assert source is book.sources[2]
    cash, wallet = 30 - released, 30 - released
    assert shown(posted) == [
        ("cash", DEBIT, RELEASE, released, 0, 500, 100, cash, 20, 8),
        ("cash", DEBIT, POST, units, 0, 500 + units, 100, cash, 20, 9),
        ("wallet", CREDIT, RELEASE, released, 1, 100, 500, 20, wallet, 9),
        ("wallet", CREDIT, POST, units, 1, 100, 500 + units, 20, wallet, 10),
    ]
    assert left_of(book, 2) == [left, left]
    assert source.last_settlement == (Kind.POST, 50)


def test_a_hold_that_is_voided_or_expires_is_released() -> None:
    released = [
        ("cash", DEBIT, RELEASE, 20, 0, 500, 100, 10, 20, 8),
        ("wallet", CREDIT, RELEASE, 20, 1, 100, 500, 20, 10, 9),
    ]
    book = new_book()
    source, posted = void(book, Void(2), 50)
    assert (source, shown(posted)) == (book.sources[2], released)
    assert (left_of(book, 2), source.last_settlement) == ([0, 0], (Kind.VOID, 50))
    book = new_book()
    source = book.sources[2]
    assert shown(expire(book, source, 51)) == released
    assert (left_of(book, 2), source.last_settlement) == ([0, 0], (Kind.EXPIRY, 51))


@pytest.mark.parametrize("sequence", [1, 3])
@pytest.mark.parametrize(("parts", "units"), [((), 20), ([(0, 8), (1, 8)], 8)])
def test_a_reversal_posts_the_opposite(sequence: int, parts: Any, units: int) -> None:
    book = new_book()
    source, posted = reverse(book, Reverse(sequence, parts))
    assert source is book.sources[sequence]
    assert shown(posted) == [
        ("cash", CREDIT, POST, units, 0, 500, 100 + units, 30, 20, 8),
        ("wallet", DEBIT, POST, units, 1, 100 + units, 500, 20, 30, 9),
    ]
    assert left_of(book, sequence) == [20 - units, 20 - units]
    assert source.last_settlement is None
    # What is left can be reversed still, and no more.
    if units == 20:
        with pytest.raises(Refusal) as raised:
            reverse(book, Reverse(sequence))
        assert raised.value.reason is Reason.AMOUNT_EXCEEDS_ORIGINAL


def test_what_is_not_named_is_not_reversed() -> None:
    book = new_book()
    entries = [
        SourceEntry(index, name, side, "EUR", 30, 30)
        for index, (name, side) in enumerate(
            [("cash", DEBIT), ("wallet", CREDIT), ("cash", DEBIT), ("wallet", CREDIT)]
        )
    ]
    book.sources[30] = Source(30, Kind.DIRECT, None, entries)
    reverse(book, Reverse(30, [(0, 10), (3, 10)]))
    assert left_of(book, 30) == [20, 30, 30, 20]


def test_a_draft_is_held_against_its_exchanges() -> None:
    sold = Exchange("EUR", 11, 2, "USD", 11, 2, "1", "dollars")
    with pytest.raises(Refusal) as raised:
        open_draft(new_book(), Draft(pays(), exchanges=[sold]), NOW_US)
    assert raised.value.message == (
        "exchange 0 does not agree: the entries move less EUR than it says"
    )
    fits = sold._replace(sold_minor=10, bought_currency="EUR", bought_minor=10)
    assert len(open_draft(new_book(), Draft(pays(), exchanges=[fits]), NOW_US)) == 2


def test_what_was_settled_can_be_taken_back_within_a_batch() -> None:
    for settle in (
        lambda book: post(book, Post(2), 50),
        lambda book: void(book, Void(2), 50),
        lambda book: reverse(book, Reverse(1)),
        lambda book: expire(book, book.sources[2], 50),
    ):
        book, untouched = new_book(), new_book()
        book.begin_atomic(50)
        settle(book)
        book.end_atomic(undo=True)
        assert book.sources == untouched.sources
        assert [each.totals for each in book.accounts.values()] == [
            each.totals for each in untouched.accounts.values()
        ]


def test_limits_are_asked_after_all_entries_floors_before_ceilings() -> None:
    limits = Limits(min_posted=400, max_posted=400)
    book = new_book()
    book.accounts["cash"] = account(1, "cash", DEBIT, CASH, limits=limits)
    # What goes out and comes back in the same transaction breaks no limit.
    both = Draft([*pays(), ("cash", DEBIT, 10, "EUR", None), ("wallet", CREDIT, 10, "EUR", None)])
    assert len(open_draft(book, both, NOW_US)) == 4
    for legs, reason in (
        (pays(), Reason.FLOOR_BREACHED),
        (
            [("cash", DEBIT, 1, "EUR", None), ("wallet", CREDIT, 1, "EUR", None)],
            Reason.CEILING_BREACHED,
        ),
    ):
        with pytest.raises(Refusal) as raised:
            open_draft(book, Draft(legs), NOW_US)
        assert raised.value.reason is reason


def test_totals_stay_within_64_bits() -> None:
    most = 2**63 - 1
    for held, fits in ((9, True), (10, False)):
        book = new_book()
        book.accounts["cash"].totals = (most - 9 - 1, 0, held, 0, 7)
        paid = [("cash", DEBIT, 1, "EUR", None), ("wallet", CREDIT, 1, "EUR", None)]
        if fits:
            open_draft(book, Draft(paid), NOW_US)
            continue
        with pytest.raises(Refusal) as raised:
            open_draft(book, Draft(paid), NOW_US)
        assert raised.value.reason is Reason.BALANCE_OVERFLOW
        assert book.accounts["cash"].totals == (most - 10, 0, 10, 0, 7)
