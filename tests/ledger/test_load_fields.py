"""Proto3 JSON as messages: what protobuf's own reader takes, and where something is wrong."""

import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from hypothesis import given
from hypothesis import strategies as st

from ledger.load.columns import column_of
from ledger.load.fields import FieldError, message_of
from ledger.load.given import Bad, Given
from ledger.load.jsonl import KEYS, read_line
from ledger.v1.account_pb2 import AccountInput, BalanceLimits
from ledger.v1.entry_pb2 import EntryInput, EntryPart, Precondition
from ledger.v1.transaction_mutations_pb2 import BatchItem
from ledger.v1.transaction_pb2 import Exchange, PostInput, TransactionInput, TransactionKey
from money.v1.money_pb2 import Money
from tests.ledger.client import credit, debit

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INT64 = st.integers(-(2**63), 2**63 - 1)
MONEY = st.builds(Money, currency_code=TEXTS, minor_units=INT64)
PRECONDITIONS = st.builds(Precondition, expected_version=INT64, max_available_minor=INT64)
ENTRIES = st.builds(
    EntryInput,
    account=TEXTS,
    direction=st.sampled_from([0, 1, 2]),
    amount=MONEY,
    precondition=st.none() | PRECONDITIONS,
    description=TEXTS,
)
DRAFTS = st.builds(
    TransactionInput,
    entries=st.lists(ENTRIES, max_size=3),
    pending=st.booleans(),
    expire_time=st.none() | st.datetimes(),
    effective_time=st.none() | st.datetimes(),
    reference=TEXTS,
    metadata=st.dictionaries(TEXTS, TEXTS, max_size=3),
    exchanges=st.lists(st.builds(Exchange, sold=MONEY, rate=TEXTS), max_size=2),
)
KEY = st.builds(TransactionKey, sequence=INT64) | st.builds(TransactionKey, request_id=TEXTS)
PARTS = st.builds(EntryPart, entry_index=st.integers(-(2**31), 2**31 - 1), amount_minor=INT64)
POSTS = st.builds(
    PostInput,
    pending=KEY,
    parts=st.lists(PARTS, max_size=3),
    remainder=st.sampled_from([0, 1, 2]),
)
ITEMS = st.builds(BatchItem, request_id=TEXTS, create=DRAFTS) | st.builds(
    BatchItem, request_id=TEXTS, post=POSTS
)
ACCOUNTS = st.builds(
    AccountInput,
    name=TEXTS,
    normal_balance=st.sampled_from([0, 1, 2]),
    limits=st.none() | st.builds(BalanceLimits, min_posted_minor=INT64),
)


@given(ITEMS | ACCOUNTS, st.booleans())
def test_what_protobuf_writes_is_read(message: Any, names: bool) -> None:
    value = MessageToDict(message, preserving_proto_field_name=names)
    assert message_of(type(message), json.loads(json.dumps(value))) == message


@pytest.mark.parametrize(
    "value",
    [
        {"name": 1},
        {"nome": "a"},
        {"name": "a", "limits": {"minPostedMinor": "1.5"}},
        {"limits": {"min_posted_minor": 2**63}},
        {"limits": {"min_posted_minor": True}},
        {"normal_balance": "DEBIT"},
        {"metadata": {"a": 1}},
        {"metadata": "a"},
    ],
)
def test_what_protobuf_refuses_is_refused(value: Any) -> None:
    with pytest.raises(FieldError):
        message_of(AccountInput, value)
    with pytest.raises(ParseError):
        ParseDict(value, AccountInput())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
)


@given(JSON, st.data(), st.sampled_from([None, 1]))
def test_columns(value: Any, data: st.DataObject, indent: int | None) -> None:
    """The text at a path's column begins with the value there."""
    line = json.dumps(value, ensure_ascii=False, indent=indent)
    path: list[str | int] = []
    while isinstance(value, dict | list) and value and data.draw(st.booleans()):
        step = data.draw(
            st.sampled_from(list(value) if isinstance(value, dict) else list(range(len(value))))
        )
        path.append(step)
        value = value[step]
    found, _ = json.JSONDecoder().raw_decode(line, column_of(line, tuple(path)) - 1)
    assert found == value


def test_a_line_gives_its_item() -> None:
    draft = TransactionInput(entries=[debit("a", 5), credit("b", 5)], reference="r")
    item = BatchItem(request_id="t-1", create=draft)
    value = MessageToDict(item, preserving_proto_field_name=True)
    line = json.dumps({KEYS.get(key, key): part for key, part in value.items()}).encode()
    assert read_line(3, line) == Given(3, item, len(line), line)


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        (b"7", Bad(1, 1, "the line is not an object")),
        (b'{"account": NaN}', Bad(1, 1, "NaN is not JSON")),
        (b'{"account": {}, "request_id": "x"}', Bad(1, 31, "request_id is no field here")),
        (
            b'{"account": {"name": "\\ud800"}}',
            Bad(1, 22, "account.name has half of a surrogate pair"),
        ),
        (
            b'{"request_id": 7, "void": {}}',
            Bad(1, 1, "the line needs one request_id, which is a string"),
        ),
        (
            b'{"request_id": "a b", "void": {"pending": {"sequence": 1}}}',
            Bad(1, 16, "request_id does not match [A-Za-z0-9_.:-]+"),
        ),
        (b'{"request_id": "x", "void": {}}', Bad(1, 29, "void.pending is required")),
        (
            b'{"request_id": "x", "post": {"pending": {"sequence": 1}, "effective_time": "today"}}',
            Bad(1, 76, "post.effective_time is not an RFC 3339 time"),
        ),
        (
            b'{"request_id": "x", "post": {"pending": {"sequence": 1, "requestId": "y"}}}',
            Bad(1, 70, "post.pending.requestId is given twice or beside what it excludes"),
        ),
    ],
)
def test_a_bad_line_says_where(line: bytes, bad: Bad) -> None:
    assert read_line(1, line) == bad
