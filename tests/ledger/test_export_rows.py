"""Rows of an export's tables: each gives its line again, and damage to a file is found."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.account_line import account_line
from ledger.accounts import Account, Effect, Side, limits_of
from ledger.commands import Record
from ledger.export import parquet
from ledger.export.rows import RowError, account_row, leaf_of_row, transaction_row
from ledger.export.rows import account_line as line_of_row
from ledger.leaf import leaf_of
from ledger.posting import Kind

FLIPS = 400
MAX_TOTAL = 2**63 - 1
# Years 1 to 9999.
MICROS = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
NAMES = st.from_regex(r"[A-Za-z0-9_.:-]{1,8}(/[A-Za-z0-9_.:-]{1,8}){0,3}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
LABELS = st.dictionaries(TEXTS, TEXTS, max_size=4)
TOTALS = st.integers(0, MAX_TOTAL)
LIMITS = st.none() | st.integers(-(2**63), MAX_TOTAL)
ACCOUNTS = st.builds(
    Account,
    number=st.integers(1, 2**31 - 1),
    name=NAMES,
    currency=st.sampled_from(["EUR", "USD", "JPY"]),
    normal=st.sampled_from(Side),
    limits=st.builds(limits_of, LIMITS, LIMITS, LIMITS, LIMITS),
    create_us=MICROS,
    metadata=LABELS,
)
ENTRIES = st.tuples(
    ACCOUNTS,
    st.sampled_from(Side),
    st.sampled_from(Effect),
    st.integers(1, 10**18),
    st.none() | st.integers(0, 9_999),
    *(TOTALS, TOTALS, TOTALS, TOTALS, st.integers(1, MAX_TOTAL)),
)


def lines(count: int) -> list[bytes]:
    """Some account lines."""
    return [
        account_line(Account(n, f"a/{n}", "EUR", Side.DEBIT, limits_of(n, None, 0, None), n * 997))
        for n in range(1, count + 1)
    ]


@given(ACCOUNTS)
def test_an_accounts_row_gives_its_line(account: Account) -> None:
    line = account_line(account)
    assert line_of_row(account_row(line)) == line


@given(
    kind=st.sampled_from(Kind),
    times=st.tuples(MICROS, st.none() | MICROS, st.none() | MICROS),
    texts=st.tuples(st.just("") | NAMES, st.just("") | TEXTS),
    numbers=st.tuples(st.integers(1, MAX_TOTAL), *[st.none() | st.integers(1, MAX_TOTAL)] * 2),
    entries=st.lists(ENTRIES, min_size=1, max_size=4),
)
def test_a_transactions_row_gives_its_leaf(
    kind: Kind, times: Any, texts: Any, numbers: Any, entries: Any
) -> None:
    record = Record(
        sequence=numbers[0],
        kind=kind,
        request_id=texts[0].replace("/", "-"),
        body=b"",
        reference=texts[1],
        entries=entries,
        record_us=times[0],
        effective_us=times[1],
        expire_us=times[2],
        settles=numbers[1],
        reverses=numbers[2],
    )
    leaf = leaf_of("main", record)
    assert leaf_of_row(transaction_row(leaf)) == leaf


@pytest.mark.parametrize(
    "leaf",
    [
        b"{}",
        b"[]",
        b"\xff",
        b'{"sequence":"x"}',
        # More than the columns hold: a key, a space, a time with a zone, a number for a string.
        b'{"effective_time":"2026-01-05T12:00:00.000000Z","entries":[],"kind":"DIRECT","ledger":"m"'
        b',"record_time":"2026-01-05T12:00:00.000000Z","sequence":"1","zeal":"1"}',
        b'{"effective_time":"2026-01-05T12:00:00.000000Z","entries":[], "kind":"DIRECT"'
        b',"ledger":"m","record_time":"2026-01-05T12:00:00.000000Z","sequence":"1"}',
        b'{"effective_time":"2026-01-05T13:00:00.000000+01:00","entries":[],"kind":"DIRECT"'
        b',"ledger":"m","record_time":"2026-01-05T12:00:00.000000Z","sequence":"1"}',
        b'{"effective_time":"2026-01-05T12:00:00.000000Z","entries":[],"kind":"DIRECT","ledger":"m"'
        b',"record_time":"2026-01-05T12:00:00.000000Z","sequence":1}',
    ],
)
def test_a_row_never_loses_a_part_of_its_leaf(leaf: bytes) -> None:
    with pytest.raises(RowError):
        transaction_row(leaf)


def test_row_groups_end_where_the_rows_say(tmp_path: Path) -> None:
    made = lines(25_000)
    writer = parquet.accounts_writer(tmp_path)
    for line in made:
        writer.add(account_row(line), len(line))
    assert not (tmp_path / "accounts.parquet").exists(), "a file has its name when it is whole"
    writer.finish()
    path = tmp_path / "accounts.parquet"
    assert list(parquet.account_lines(path)) == made
    with parquet.open_table(path) as file:
        groups = range(file.metadata.num_row_groups)
        assert [file.metadata.row_group(group).num_rows for group in groups] == [
            10_000,
            10_000,
            5_000,
        ]


def test_damage_to_a_table_is_a_row_error_or_another_line(tmp_path: Path) -> None:
    """Nothing else comes of a flipped bit: other lines are what the checkpoint's hashes find."""
    made = lines(200)
    writer = parquet.accounts_writer(tmp_path)
    for line in made:
        writer.add(account_row(line), len(line))
    writer.finish()
    path = tmp_path / "accounts.parquet"
    whole = path.read_bytes()
    numbers = random.Random(7)
    damaged = 0
    for _ in range(FLIPS):
        flipped = bytearray(whole)
        flipped[numbers.randrange(len(whole))] ^= 1 << numbers.randrange(8)
        path.write_bytes(flipped)
        try:
            read = list(parquet.account_lines(path))
        except RowError:
            damaged += 1
        else:
            assert len(read) <= len(made)
    assert damaged > FLIPS // 2
