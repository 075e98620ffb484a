"""Stripe's requirement lists as one: each field once, with the worst that is said of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from compliance.accounts.requirements import (
    CURRENTLY_DUE,
    EVENTUALLY_DUE,
    PAST_DUE,
    PENDING_VERIFICATION,
    RequirementLists,
    earliest_deadline,
    merge,
)

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def lists(**changes: Any) -> RequirementLists:
    values = {
        "capability": "",
        "future": False,
        "currently_due": (),
        "past_due": (),
        "eventually_due": (),
        "pending_verification": (),
        "deadline_time": None,
        "alternatives": (),
        "errors": (),
        **changes,
    }
    return RequirementLists(**values)


def test_subsets_give_the_worst() -> None:
    (past, current, soon) = merge(
        [
            lists(
                eventually_due=["a", "b", "c"],
                currently_due=["a", "b"],
                past_due=["a"],
                deadline_time=NOW,
            )
        ]
    )
    assert [(item.field, item.severity) for item in (past, current, soon)] == [
        ("a", PAST_DUE),
        ("b", CURRENTLY_DUE),
        ("c", EVENTUALLY_DUE),
    ]
    assert [item.deadline_time for item in (past, current, soon)] == [NOW, NOW, None]


def test_what_is_pending_counts_against_the_deadline() -> None:
    (pending,) = merge([lists(pending_verification=["a"], deadline_time=NOW)])
    assert (pending.severity, pending.deadline_time) == (PENDING_VERIFICATION, NOW)
    assert earliest_deadline([pending]) == NOW


def test_account_and_capabilities_are_joined() -> None:
    (joined,) = merge(
        [
            lists(eventually_due=["a"]),
            lists(capability="transfers", currently_due=["a"], deadline_time=NOW + 2 * DAY),
            lists(
                capability="card_payments",
                currently_due=["a"],
                deadline_time=NOW + DAY,
                errors=[("a", "bad_scan"), ("b", "other")],
                alternatives=[(["a"], ["x", "y"]), (["b"], ["z"])],
            ),
        ]
    )
    assert (joined.severity, joined.deadline_time) == (CURRENTLY_DUE, NOW + DAY)
    assert joined.capabilities == ("card_payments", "transfers")
    assert (joined.error_codes, joined.alternative_fields) == (("bad_scan",), ("x", "y"))


def test_future_requirements_begin_to_count_at_their_deadline() -> None:
    (future,) = merge(
        [
            lists(eventually_due=["a"]),
            lists(future=True, currently_due=["a"], past_due=["a"], deadline_time=NOW + DAY),
        ]
    )
    assert (future.severity, future.future, future.deadline_time) == (
        EVENTUALLY_DUE,
        True,
        NOW + DAY,
    )
    (both,) = merge(
        [
            lists(currently_due=["a"], deadline_time=NOW),
            lists(future=True, currently_due=["a"], deadline_time=NOW + DAY),
        ]
    )
    assert (both.severity, both.future, both.deadline_time) == (CURRENTLY_DUE, False, NOW)


def test_risk_items_are_for_hosted_pages() -> None:
    (item,) = merge([lists(past_due=["interv_123.supportability"])])
    assert item.hosted_only


_fields = st.lists(st.sampled_from("abcd"), max_size=4, unique=True)
_lists = st.builds(
    lists,
    capability=st.sampled_from(["", "transfers"]),
    future=st.booleans(),
    currently_due=_fields,
    past_due=_fields,
    eventually_due=_fields,
    pending_verification=_fields,
    deadline_time=st.none() | st.integers(0, 9).map(lambda days: NOW + days * DAY),
)


@given(st.lists(_lists, max_size=4), _lists)
def test_each_field_once_and_never_better_for_more_said(
    said: list[RequirementLists], more: RequirementLists
) -> None:
    before = {item.field: item for item in merge(said)}
    after = merge([*said, more])
    assert len({item.field for item in after}) == len(after)
    assert [item.severity for item in after] == sorted(
        (item.severity for item in after), reverse=True
    )
    for item in after:
        if item.field in before:
            assert item.severity >= before[item.field].severity


def test_of_the_same_severity_the_first_that_is_due_comes_first() -> None:
    day = timedelta(days=1)
    due = [("c", NOW + day), ("a", NOW + 2 * day), ("d", None), ("b", None), ("0", NOW + 2 * day)]
    merged = merge(lists(currently_due=(name,), deadline_time=when) for name, when in due)
    assert [each.field for each in merged] == ["c", "0", "a", "b", "d"]
    worse = merge(
        [lists(currently_due=("a",), deadline_time=NOW), lists(past_due=("z",))],
    )
    assert [each.field for each in worse] == ["z", "a"]


def test_only_a_list_of_the_future_makes_a_requirement_of_the_future() -> None:
    now = lists(eventually_due=("a",), deadline_time=NOW)
    undated = lists(eventually_due=("a",), future=True)
    for one in (now, undated):
        assert [each.future for each in merge([one])] == [False]
    assert [each.future for each in merge([replace(now, future=True)])] == [True]
