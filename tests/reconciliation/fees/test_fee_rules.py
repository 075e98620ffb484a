"""What of a movement is a fee, and what is told of fees that are not as they should be."""

from datetime import date
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.v1.balance_transaction_pb2 import (
    BALANCE_TRANSACTION_STATE_EXPLAINED,
    BalanceTransaction,
    BalanceTransactionFee,
)
from money.v1.money_pb2 import Money
from reconciliation.fees.variance import Against, Variance, conditions_of
from reconciliation.matching.breaks import MAX_NAMED_KEYS
from reconciliation.sources.stripe_items import charged_of, fee_of
from tests.reconciliation.worlds import START

DAY = START.date()


def moved(key: str, amount: int, fee: int, **changes: Any) -> BalanceTransaction:
    fields: dict[str, Any] = {
        "id": f"txn_{key}",
        "corridor": "main",
        "type": "charge",
        "reporting_category": "charge",
        "amount": Money(currency_code="EUR", minor_units=amount),
        "fee": Money(currency_code="EUR", minor_units=fee),
        "net": Money(currency_code="EUR", minor_units=amount - fee),
        "source_id": f"ch_{key}",
        "source_type": "charge",
        "state": BALANCE_TRANSACTION_STATE_EXPLAINED,
        "sequence": 1,
    }
    made = BalanceTransaction(**(fields | changes))
    made.stripe_create_time.FromDatetime(START)
    return made


def test_what_of_a_movement_is_a_fee() -> None:
    assert fee_of(moved("1", 1_000, 40)) == 40
    assert fee_of(moved("1", -60, 0, type="stripe_fee", reporting_category="fee")) == 60
    assert fee_of(moved("1", -60, 0, type="network_cost", reporting_category="")) == 60
    assert fee_of(moved("1", 60, 0, type="adjustment", reporting_category="fee")) == -60
    assert fee_of(moved("1", 60, 0, type="adjustment", reporting_category="dispute")) == 0
    old = moved("1", 1_000, 40)
    old.ClearField("amount")
    assert fee_of(old) is None
    parts = [
        BalanceTransactionFee(type=type_, amount=Money(currency_code="EUR", minor_units=minor))
        for type_, minor in (("stripe_fee", 33), ("tax", 5), ("application_fee", 2))
    ]
    of_parts = charged_of(moved("1", 1_000, 40, fee_details=parts, exchange_rate="0.9"), DAY)
    assert (of_parts.fee_minor, of_parts.is_converted) == (33, True)
    whole = charged_of(moved("1", 1_000, 40, reporting_category=""), DAY)
    assert (whole.fee_minor, whole.category, whole.is_converted) == (40, "charge", False)


def variance(key: str, told: int, expected: int, **changes: Any) -> Variance:
    fields: dict[str, Any] = {
        "against": Against.LEDGER,
        "corridor": "main",
        "currency": "EUR",
        "day": DAY,
        "key": key,
        "told_minor": told,
        "expected_minor": expected,
    }
    return Variance(**(fields | changes))


def test_a_sentence_names_the_first_and_says_how_many_there_are() -> None:
    long = "x" * 255
    named = [long, "b", "c"]
    assert len(named) == MAX_NAMED_KEYS
    (one,) = conditions_of([variance(key, 1, 2) for key in named], START)
    assert one.says.endswith(f"3 times on {DAY} (b, c, {'x' * 64})")
    (more,) = conditions_of([variance(key, 1, 2) for key in ("a", *named)], START)
    assert more.says.endswith(f"4 times on {DAY} (a, b, c and 1 more)")
    assert more.amounts == (("EUR", -4),)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(
        st.builds(
            variance,
            st.sampled_from("abcdef"),
            st.integers(-9, 9),
            st.integers(-9, 9),
            against=st.sampled_from(Against),
            corridor=st.sampled_from(["main", "us"]),
            currency=st.sampled_from(["EUR", "JPY"]),
            day=st.sampled_from([DAY, date(2026, 12, 1)]),
        )
    )
)
def test_what_is_told_adds_up_to_what_differs(drawn: list[Variance]) -> None:
    told = conditions_of(drawn, START)
    by_subject = {(c.corridor, c.subject): dict(c.amounts) for c in told}
    assert len(by_subject) == len(told)
    model: dict[tuple[str, str], dict[str, int]] = {}
    for each in drawn:
        subject = f"fees {each.day.isoformat()} {each.currency} {each.against.value}"
        sums = model.setdefault((each.corridor, subject), {each.currency: 0})
        sums[each.currency] += each.told_minor - each.expected_minor
    assert by_subject == model
