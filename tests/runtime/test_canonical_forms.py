"""The canonical form: requests that mean the same have the same bytes."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from ledger.v1 import account_pb2, entry_pb2, transaction_pb2
from ledger.v1.transaction_mutations_pb2 import (
    BatchCreateTransactionsRequest,
    BatchItem,
    CreateTransactionRequest,
    PostTransactionRequest,
)
from ledger.validation import VALIDATOR as LEDGER
from runtime.errors import FieldViolation
from runtime.rules import duration, enum, message, repeated, text, timestamp
from runtime.validation import Validator
from tests.runtime.echo import pb

# The default of a colour is RED, and a part without a name is none.
_OTHERS = [
    text(name, max_bytes=99)
    for name in ("request_id", "text", "amount", "metadata", "left", "right", "tags")
]
VALIDATOR = Validator(
    {
        pb.EchoRequest: [
            *_OTHERS,
            enum("color", default=1),
            timestamp("effective_time"),
            message("part", empty_is_unset=True),
            repeated("parts", max_items=3),
        ],
        pb.Part: [text("name", max_bytes=8), message("inner", empty_is_unset=True)],
    }
)


@pytest.mark.parametrize(
    ("given_", "canonical"),
    [
        ({"color": 1}, {}),
        ({"color": 2}, {"color": 2}),
        (
            {"effective_time": {"seconds": 5, "nanos": 1_999}},
            {"effective_time": {"seconds": 5, "nanos": 1_000}},
        ),
        ({"effective_time": {"nanos": 999}}, {"effective_time": {}}),
        (
            {"effective_time": {"seconds": -5, "nanos": 999_999_999}},
            {"effective_time": {"seconds": -5, "nanos": 999_999_000}},
        ),
        ({"part": {}}, {}),
        ({"part": {"inner": {"inner": {}}}}, {}),
        ({"part": {"name": "a", "inner": {}}}, {"part": {"name": "a"}}),
        # An item of a list is there, whatever is in it.
        ({"parts": [{"inner": {}}, {}]}, {"parts": [{}, {}]}),
        ({"metadata": {"b": "1", "a": "2"}}, {"metadata": {"a": "2", "b": "1"}}),
    ],
)
def test_each_form(given_: dict[str, Any], canonical: dict[str, Any]) -> None:
    request, expected = pb.EchoRequest(**given_), pb.EchoRequest(**canonical)
    VALIDATOR.canonicalise(request)
    assert request.SerializeToString(deterministic=True) == expected.SerializeToString(
        deterministic=True
    )


@pytest.mark.parametrize(
    ("length", "canonical"),
    [
        (Duration(seconds=900), None),
        (Duration(seconds=900, nanos=999), None),
        (Duration(seconds=900, nanos=1_999), Duration(seconds=900, nanos=1_000)),
        (Duration(seconds=901), Duration(seconds=901)),
        (None, None),
    ],
)
def test_a_length_at_its_default(length: Duration | None, canonical: Duration | None) -> None:
    class Holder:
        """Stands for a message with a field `ttl`."""

        ttl: Duration | None = length

        def HasField(self, _name: str) -> bool:
            return self.ttl is not None

        def ClearField(self, _name: str) -> None:
            self.ttl = None

    rule = duration("ttl", maximum=timedelta(hours=1), default=timedelta(minutes=15))
    holder = Holder()
    assert rule.normalise is not None
    rule.normalise(holder)
    assert holder.ttl == canonical


def test_what_is_required_has_no_default() -> None:
    with pytest.raises(AssertionError):
        enum("color", required=True, default=1)
    with pytest.raises(AssertionError):
        message("part", required=True, empty_is_unset=True)


def test_a_request_is_prepared_only_if_nothing_is_wrong_with_it() -> None:
    request = pb.EchoRequest(color=1, part={"name": "far too long"})
    assert VALIDATOR.prepare(request) == [FieldViolation("part.name", "is longer than 8 bytes")]
    assert request.color == 1
    request.part.name = ""
    assert VALIDATOR.prepare(request) == []
    assert request == pb.EchoRequest()


@pytest.mark.parametrize("nanos", [-(2**31), -1_999, -1, 1_000_000_000, 2**31 - 1])
def test_a_time_that_is_none_stays_none(nanos: int) -> None:
    request = pb.EchoRequest(effective_time={"seconds": 1, "nanos": nanos})
    assert VALIDATOR.prepare(request) == [
        FieldViolation("effective_time", "has nanos outside 0 to 999,999,999")
    ]


times: st.SearchStrategy[Any] = st.none() | st.builds(
    dict, seconds=st.integers(0, 3), nanos=st.sampled_from([0, 1, 999, 1_000, 999_999_999])
)
legs = [
    entry_pb2.EntryInput(
        account=account,
        direction=direction,  # type: ignore[arg-type]
        amount={"currency_code": "EUR", "minor_units": 5},  # type: ignore[arg-type]
    )
    for account, direction in (("a", 1), ("b", 2))
]


def draft(effective: Any, expiry: Any, condition: bool | None) -> transaction_pb2.TransactionInput:
    made = transaction_pb2.TransactionInput(
        entries=legs,
        pending=expiry is not None,
        effective_time=effective,
        expire_time=expiry,
    )
    if condition is not None:
        made.entries[0].precondition.SetInParent()
        if condition:
            made.entries[0].precondition.expected_version = 1
    return made


drafts = st.builds(draft, times, times, st.sampled_from([None, False, True]))
posts = st.builds(
    transaction_pb2.PostInput,
    pending=st.just(transaction_pb2.TransactionKey(sequence=1)),
    parts=st.just([entry_pb2.EntryPart(entry_index=0, amount_minor=1)]),
    remainder=st.sampled_from([0, 1, 2]),
    effective_time=times,
)
items = st.builds(BatchItem, create=drafts) | st.builds(BatchItem, post=posts)
IDS = {"request_id": "a", "ledger": "main"}
requests = st.one_of(
    drafts.map(lambda made: CreateTransactionRequest(transaction=made, **IDS)),
    posts.map(lambda made: PostTransactionRequest(post=made, **IDS)),
    st.lists(items, min_size=1, max_size=3).map(
        lambda made: BatchCreateTransactionsRequest(items=made, mode=2, **IDS)  # type: ignore[arg-type]
    ),
    st.sampled_from([None, {}, {"min_posted_minor": 0}]).map(
        lambda limits: account_pb2.CreateAccountRequest(
            account={  # type: ignore[arg-type]
                "name": "a",
                "currency_code": "EUR",
                "normal_balance": 1,
                "limits": limits,
            },
            **IDS,
        )
    ),
)


@given(requests)
def test_what_is_prepared_is_canonical_whichever_way_it_was_checked(request: Any) -> None:
    expected = type(request)()
    expected.CopyFrom(request)
    LEDGER.canonicalise(expected)
    assert LEDGER.prepare(request) == []
    assert request == expected
    LEDGER.canonicalise(request)
    assert request == expected
