"""Routing sees coarse buckets, these and no others."""

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routing.features import Context, FeatureSpace, Vocabulary

SPACE = FeatureSpace()
CONTEXT = Context("EU", "VISA", "DEBIT", "EUR", 4_200, 13, False, 0, False)

contexts = st.builds(
    Context,
    region=st.text(max_size=5),
    network=st.sampled_from(["VISA", "AMEX", "?"]),
    funding=st.sampled_from(["CREDIT", "?"]),
    currency=st.text(max_size=3),
    amount_minor=st.integers(0, 10**12),
    hour=st.integers(0, 23),
    recurring=st.booleans(),
    velocity=st.integers(0, 10**6),
    retry=st.booleans(),
    risk=st.sampled_from(["NORMAL", "?"]),
)


def test_what_is_known_of_a_payment() -> None:
    assert [field.name for field in fields(Context)] == [
        "region",
        "network",
        "funding",
        "currency",
        "amount_minor",
        "hour",
        "recurring",
        "velocity",
        "retry",
        "risk",
    ]


def test_the_features_of_a_corridor() -> None:
    assert [feature.name for feature in SPACE.features] == [
        "all",
        "region",
        "network",
        "funding",
        "currency",
        "amount",
        "hour",
        "recurring",
        "velocity",
        "retry",
        "risk",
        "region × network",
        "region × funding",
        "region × hour",
        "all, now",
        "region, now",
        "network, now",
    ]


def test_buckets_are_coarse() -> None:
    assert dict(SPACE.sizes) == {
        "region": 8,
        "network": 7,
        "funding": 4,
        "currency": 10,
        "risk": 4,
        "amount": 5,
        "hour": 6,
        "recurring": 2,
        "velocity": 3,
        "retry": 2,
    }


@pytest.mark.parametrize(
    ("amount_minor", "bucket"),
    [(0, 0), (1_000, 0), (1_001, 1), (5_000, 1), (20_000, 2), (100_000, 3), (100_001, 4)],
)
def test_edges_of_amounts(amount_minor: int, bucket: int) -> None:
    context = Context("EU", "VISA", "DEBIT", "EUR", amount_minor, 13, False, 0, False)
    assert SPACE.buckets(context)["amount"] == bucket


@settings(max_examples=40)
@given(contexts)
def test_whatever_comes_has_one_slot_per_feature(context: Context) -> None:
    slots = SPACE.own.slots(SPACE.buckets(context))
    firsts = [first for first, _ in SPACE.own.terms] + [len(SPACE.own.variances)]
    assert len(slots) == len(SPACE.features)
    for slot, low, high in zip(slots, firsts, firsts[1:], strict=False):
        assert low <= slot < high


def test_different_buckets_have_different_slots() -> None:
    seen = set()
    for region in (*SPACE.vocabulary.region, "?"):
        for network in (*SPACE.vocabulary.network, "?"):
            context = Context(region, network, "DEBIT", "EUR", 4_200, 13, False, 0, False)
            seen.add(SPACE.own.slots(SPACE.buckets(context))[11])
    assert len(seen) == 8 * 7


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"amount_minor": -1}, "amount_minor"),
        ({"hour": 24}, "hour"),
        ({"velocity": -1}, "velocity"),
    ],
)
def test_an_impossible_context(change: dict[str, int], named: str) -> None:
    known = {field.name: getattr(CONTEXT, field.name) for field in fields(Context)}
    with pytest.raises(ValueError, match=named):
        Context(**{**known, **change})


@pytest.mark.parametrize("values", [(), ("EU", "EU"), ("OTHER",), tuple(map(str, range(64)))])
def test_a_vocabulary_that_cannot_be(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="region"):
        Vocabulary(region=values)


@settings(max_examples=40)
@given(contexts)
def test_slots_say_what_buckets_a_payment_was_in(context: Context) -> None:
    slots = SPACE.slots(context)
    again = SPACE.context_in(slots, context.amount_minor)
    assert SPACE.buckets(again) == SPACE.buckets(context)
    assert again.region == (
        context.region if context.region in SPACE.vocabulary.region else "OTHER"
    )


def test_slots_of_something_else_are_no_payment() -> None:
    slots = SPACE.slots(CONTEXT)
    with pytest.raises(ValueError, match="amount"):
        SPACE.context_in(slots, 1_000_000)
    with pytest.raises(ValueError, match="longer"):
        SPACE.context_in(slots._replace(own=slots.own[:-1]), CONTEXT.amount_minor)
