"""The compiled checks let nothing through that the rules would find."""

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger.v1 import entry_pb2, transaction_pb2
from ledger.v1.direction_pb2 import DIRECTION_CREDIT, DIRECTION_DEBIT
from ledger.v1.transaction_mutations_pb2 import CreateTransactionRequest
from ledger.validation import RULES
from money.v1.money_pb2 import Money
from runtime.quick_checks import compile_quick_checks
from runtime.rule import Rule
from runtime.validation import Validator

# Right and wrong values of each field, so that most requests are wrong somewhere and some nowhere.
names = st.sampled_from(["wallet", "a/b", "", "white space", "a//b", "x" * 256, "x" * 257])
currencies = st.sampled_from(["EUR", "eur", "", "XXQ"])
amounts = st.sampled_from([1, 10**18, 0, -1, 10**18 + 1])
texts = st.sampled_from(["", "note", "é" * 128, "é" * 129, "a\x00b"])
directions: Any = st.sampled_from([1, 2, 0, 7])
entries = st.builds(
    entry_pb2.EntryInput,
    account=names,
    direction=directions,
    amount=st.none() | st.builds(Money, currency_code=currencies, minor_units=amounts),
    description=texts,
    precondition=st.none() | st.builds(entry_pb2.Precondition, expected_version=amounts),
)
inputs = st.builds(
    transaction_pb2.TransactionInput,
    entries=st.lists(entries, max_size=3),
    reference=texts,
    metadata=st.dictionaries(st.sampled_from(["", "key", "k" * 65]), texts, max_size=1),
)
right = transaction_pb2.TransactionInput(
    entries=[
        entry_pb2.EntryInput(
            account=name, direction=direction, amount=Money(currency_code="EUR", minor_units=5)
        )
        for name, direction in (("wallet", DIRECTION_DEBIT), ("cash", DIRECTION_CREDIT))
    ]
)
requests = st.builds(
    CreateTransactionRequest,
    request_id=st.sampled_from(["id-1", "", "white space", "x" * 128, "x" * 129]),
    ledger=st.sampled_from(["main", "Main", ""]),
    transaction=st.none() | inputs | st.just(right),
)
validator = Validator(RULES)
kinds: Mapping[Any, Sequence[Rule]] = RULES
checks = compile_quick_checks(
    {kind.DESCRIPTOR.full_name: (kind.DESCRIPTOR, rules) for kind, rules in kinds.items()},
    validator.nested,
)
check = checks[CreateTransactionRequest.DESCRIPTOR.full_name]


@given(requests)
def test_what_passes_has_no_violations(request: CreateTransactionRequest) -> None:
    found = validator.found_by_rules(request)
    assert not (check(request) and found)
    assert validator.violations(request) == found


def test_an_ordinary_request_passes() -> None:
    request = CreateTransactionRequest(request_id="id-1", ledger="main", transaction=right)
    assert check(request)
    assert validator.violations(request) == []
