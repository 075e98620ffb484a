"""Random transactions as the committer hands them on, for what encodes them."""

from hypothesis import strategies as st

from ledger.accounts import NO_LIMITS, Account, Effect, Side
from ledger.commands import Notes, Record
from ledger.exchange import Exchange
from ledger.posting import Kind, Posted

MAX_INT64 = 2**63 - 1
# From the year 1 to the year 9999, in microseconds since 1970.
times = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
# Whatever a UTF-8 string can hold.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
names = st.from_regex(r"[A-Za-z0-9_.:-]{1,8}(/[A-Za-z0-9_.:-]{1,8}){0,3}", fullmatch=True)
currencies = st.sampled_from(["EUR", "USD", "JPY", "KWD"])
totals = st.integers(0, MAX_INT64)
amounts = st.integers(1, 10**18)


@st.composite
def entries(draw: st.DrawFn) -> Posted:
    account = Account(1, draw(names), draw(currencies), draw(st.sampled_from(Side)), NO_LIMITS, 0)
    return (
        account,
        draw(st.sampled_from(Side)),
        draw(st.sampled_from(Effect)),
        draw(amounts),
        draw(st.none() | st.integers(0, 9_999)),
        draw(totals),
        draw(totals),
        draw(totals),
        draw(totals),
        draw(st.integers(1, MAX_INT64)),
    )


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    return Exchange(
        draw(currencies),
        draw(amounts),
        2,
        draw(currencies),
        draw(amounts),
        2,
        draw(st.from_regex(r"[0-9]{1,5}(\.[0-9]{1,5})?", fullmatch=True)),
        draw(st.just("") | names),
    )


@st.composite
def records(draw: st.DrawFn) -> Record:
    legs = draw(st.lists(entries(), min_size=1, max_size=4))
    described = st.lists(texts, min_size=len(legs), max_size=len(legs)).map(tuple)
    notes = st.builds(
        Notes,
        st.dictionaries(texts.filter(bool), texts, max_size=4),
        st.lists(exchanges(), max_size=2).map(tuple),
        st.just(()) | described,
    )
    later = st.none() | st.integers(1, MAX_INT64)
    return Record(
        draw(st.integers(1, MAX_INT64)),
        draw(st.sampled_from(Kind)),
        draw(st.just("") | st.from_regex(r"[A-Za-z0-9_.:-]{1,20}", fullmatch=True)),
        b"",
        draw(texts),
        legs,
        draw(times),
        draw(st.none() | times),
        draw(st.none() | times),
        draw(later),
        draw(later),
        draw(st.none() | notes),
    )
