"""Steps of a random history as plain data, which prints as what would replay it.

A step names accounts and earlier transactions by numbers, taken modulo what there is when its turn
comes, so that a history stays a history when Hypothesis leaves parts of it out.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

SECOND_US = 1_000_000
# Whole seconds, and a microsecond to either side, so that waits end exactly at an expiry.
WAITS_US = (1, SECOND_US - 1, SECOND_US, 2 * SECOND_US, 3 * SECOND_US)
EXPIRIES_US = (0, 1, SECOND_US, 2 * SECOND_US, 3 * SECOND_US)
BOUNDS = ("min_posted_minor", "max_posted_minor", "min_available_minor", "max_available_minor")
POINTS = ("now", "sequence", "record_time", "effective_time")
MAX_AMOUNT = 60


@dataclass(frozen=True)
class Group:
    """Legs of one currency that balance: one on one side, several on the other."""

    currency: str
    debits_one: bool
    one: int
    many: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Condition:
    """A precondition on a leg, `offset` beside what is true before the transaction."""

    leg: int
    field: str
    offset: int


@dataclass(frozen=True)
class Conversion:
    """EUR for another currency, `off` minor units beside the rate."""

    currency: str
    sold: int
    rate: str
    off: int
    carries_remainder: bool


@dataclass(frozen=True)
class Create:
    groups: tuple[Group, ...]
    pending: bool = False
    expires_in_us: int | None = None
    effective_in_us: int | None = None
    label: int = 0
    condition: Condition | None = None
    conversion: Conversion | None = None
    fault: str = ""


@dataclass(frozen=True)
class Take:
    """A post, void or reversal of an earlier transaction; no picks take all that is left."""

    operation: str
    target: int
    # "open": something is left of it; "fitting": of the right kind; "any"; "none": there is none.
    aim: str = "open"
    picks: tuple[tuple[int, int], ...] = ()
    keep: bool = False
    named_by_id: bool = False
    effective_in_us: int | None = None
    label: int = 0
    fault: str = ""


@dataclass(frozen=True)
class Again:
    """An item that an earlier request was too, sometimes with another body."""

    target: int
    changed: bool = False


@dataclass(frozen=True)
class Batch:
    items: tuple[Any, ...]
    atomic: bool
    own_ids: bool
    summary: bool = False
    short: bool = False


@dataclass(frozen=True)
class Repeat:
    """An earlier request once more: the same, or with something changed."""

    target: int
    change: str = ""


@dataclass(frozen=True)
class Close:
    account: int


@dataclass(frozen=True)
class Open:
    """New accounts, of which some may be there already."""

    names: tuple[int, ...]
    in_batch: bool


@dataclass(frozen=True)
class Wait:
    us: int


@dataclass(frozen=True)
class Read:
    """A reading call; what its numbers mean depends on the method."""

    method: str
    subject: int = 0
    point: str = "now"
    # Seconds, or transactions: from the end if the subject is odd.
    back: int = 0
    page_size: int = 7
    flag: bool = False


Step = Create | Take | Batch | Repeat | Close | Open | Wait | Read

NUMBERS = st.integers(0, 60)
AMOUNTS = st.integers(1, MAX_AMOUNT) | st.sampled_from((1, 100, 400))
OFTEN_NONE = st.none() | st.none() | st.integers(-20, 20).map(lambda n: n * SECOND_US)
SELDOM = st.integers(0, 11).map(lambda n: n == 0)
LABELS = st.integers(0, 3)


def _groups(currencies: tuple[str, ...]) -> st.SearchStrategy[Group]:
    many = st.lists(st.tuples(NUMBERS, AMOUNTS), min_size=1, max_size=3).map(tuple)
    return st.builds(Group, st.sampled_from(currencies), st.booleans(), NUMBERS, many)


CONDITIONS = st.builds(
    Condition,
    NUMBERS,
    st.sampled_from(("expected_version", "expected_version", *BOUNDS)),
    st.sampled_from((0, 0, 0, -1, 1, -30, 30, -200, 200)),
)
CONVERSIONS = st.builds(
    Conversion,
    st.sampled_from(("USD", "JPY")),
    st.integers(1, 200),
    st.sampled_from(("1", "1.0857", "0.5", "161.35", "0.125", "2.675")),
    st.sampled_from((0, 0, 0, 1, -1, 2)),
    st.booleans(),
)
CREATES = st.builds(
    Create,
    groups=st.lists(_groups(("EUR", "EUR", "EUR", "USD")), min_size=1, max_size=2).map(tuple),
    pending=st.sampled_from((False, True, True)),
    expires_in_us=st.none() | st.sampled_from(EXPIRIES_US),
    effective_in_us=OFTEN_NONE,
    label=LABELS,
    condition=st.none() | st.none() | CONDITIONS,
    fault=st.sampled_from(("",) * 12 + ("unbalanced", "unknown", "currency")),
)
CONVERTING = st.builds(
    Create,
    groups=st.just(()),
    pending=SELDOM,
    effective_in_us=OFTEN_NONE,
    conversion=CONVERSIONS,
    fault=st.sampled_from(("",) * 6 + ("more sold",)),
)
PICKS = st.lists(st.tuples(NUMBERS, st.integers(1, 40)), max_size=3).map(tuple)
TAKES = st.builds(
    Take,
    operation=st.sampled_from(("post", "post", "void", "reversal")),
    target=NUMBERS,
    aim=st.sampled_from(("open",) * 9 + ("fitting", "any", "none")),
    picks=PICKS,
    keep=st.booleans(),
    named_by_id=st.booleans(),
    effective_in_us=OFTEN_NONE,
    label=LABELS,
    fault=st.sampled_from(("",) * 9 + ("excess", "unbalanced", "absent", "twice")),
)
ITEMS = st.one_of(CREATES, CREATES, TAKES, st.builds(Again, NUMBERS, SELDOM))
BATCHES = st.builds(
    Batch,
    st.lists(ITEMS, min_size=1, max_size=5).map(tuple),
    atomic=st.booleans(),
    own_ids=st.booleans(),
    summary=SELDOM,
    short=SELDOM,
)


def _crowd(hold: Create, count: int) -> Batch:
    """Many holds that fall due together."""
    return Batch((hold,) * count, atomic=False, own_ids=False)


CROWDS = st.builds(
    _crowd,
    st.builds(
        Create,
        groups=st.tuples(
            st.builds(
                Group,
                st.just("EUR"),
                st.booleans(),
                NUMBERS,
                st.tuples(st.tuples(NUMBERS, st.integers(1, 12))),
            )
        ),
        pending=st.just(True),
        expires_in_us=st.sampled_from((1, SECOND_US)),
    ),
    st.integers(3, 5),
)
CHANGES = ("reference", "metadata", "amount", "operation", "length", "mode", "several", "form")
REPEATS = st.builds(Repeat, NUMBERS, st.sampled_from(("",) * 8 + CHANGES))
READS = st.builds(
    Read,
    st.sampled_from(
        (
            *("balance", "balance", "balance", "prefix", "prefix", "prefix", "trial", "statement"),
            *("transaction", "transaction", "transactions", "account", "accounts", "feed"),
        )
    ),
    NUMBERS,
    st.sampled_from(POINTS),
    st.integers(-20, 30),
    st.sampled_from((1, 2, 3, 7, 50)),
    st.booleans(),
)
OPENS = st.builds(Open, st.lists(st.integers(0, 9), min_size=1, max_size=2).map(tuple), SELDOM)
STEPS: st.SearchStrategy[Step] = st.one_of(
    *(CREATES,) * 7,
    CONVERTING,
    *(TAKES,) * 5,
    *(BATCHES,) * 2,
    CROWDS,
    *(REPEATS,) * 2,
    *(READS,) * 5,
    *(st.builds(Wait, st.sampled_from(WAITS_US)),) * 2,
    st.builds(Close, NUMBERS) | OPENS,
)
