"""Stripe's requirement lists as one: each field once, with the worst that is said of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
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
    of_owner,
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
    now = lists(currently_due=("a",), deadline_time=NOW)
    undated = lists(currently_due=("a",), future=True)
    for one in (now, undated):
        assert [each.future for each in merge([one])] == [False]
    assert [each.future for each in merge([replace(now, future=True)])] == [True]


def test_what_is_only_eventually_due_in_future_has_no_date() -> None:
    """At its deadline the future becomes the present: what is eventually due there is so then, too.

    https://docs.stripe.com/api/accounts/object#account_object-future_requirements-current_deadline
    """
    future = lists(
        future=True,
        currently_due=["due"],
        pending_verification=["pending"],
        eventually_due=["due", "one day"],
        deadline_time=NOW + DAY,
    )
    found = {item.field: item for item in merge([future])}
    for field in ("due", "pending"):
        assert (found[field].future, found[field].deadline_time) == (True, NOW + DAY)
    assert (found["one day"].future, found["one day"].deadline_time) == (False, None)
    assert {item.severity for item in found.values()} == {EVENTUALLY_DUE}
    # What is due now keeps its own date.
    (both,) = merge(
        [
            lists(currently_due=["a"], deadline_time=NOW + 2 * DAY),
            lists(future=True, eventually_due=["a"], deadline_time=NOW),
        ]
    )
    assert (both.severity, both.deadline_time) == (CURRENTLY_DUE, NOW + 2 * DAY)


ALTERNATIVES = [(["a", "b"], ["y", "x"]), (["a"], ["z"]), (["a"], ["z", "z"]), (["a"], [])]


def test_each_alternative_is_told_by_itself() -> None:
    found = {
        item.field: item for item in merge([lists(currently_due="ab", alternatives=ALTERNATIVES)])
    }
    assert found["a"].alternatives == (("x", "y"), ("z",))
    assert found["a"].alternative_fields == ("x", "y", "z")
    assert found["b"].alternatives == (("x", "y"),)


@pytest.mark.parametrize(
    ("said", "severity"),
    [
        ({"currently_due": ["a"]}, CURRENTLY_DUE),
        ({"currently_due": ["a"], "pending_verification": ["z"]}, PENDING_VERIFICATION),
        ({"currently_due": ["a"], "pending_verification": ["x", "y"]}, PENDING_VERIFICATION),
        # One half of an alternative is none.
        ({"currently_due": ["a"], "pending_verification": ["x"]}, CURRENTLY_DUE),
        # Stripe has stopped for it, and goes on when it is verified.
        ({"past_due": ["a"], "pending_verification": ["z"]}, PAST_DUE),
        # What was handed in and refused is due again.
        ({"currently_due": ["a", "z"], "pending_verification": ["z"]}, CURRENTLY_DUE),
        ({"eventually_due": ["a"], "pending_verification": ["z"]}, EVENTUALLY_DUE),
    ],
)
def test_what_any_one_alternative_answers_is_being_verified(
    said: dict[str, Any], severity: int
) -> None:
    deadline = NOW + DAY
    merged = merge([lists(alternatives=ALTERNATIVES, deadline_time=deadline, **said)])
    (found,) = [item for item in merged if item.field == "a"]
    assert found.severity == severity
    # The date stays: the alternative has to be verified by then.
    assert found.deadline_time == (None if severity == EVENTUALLY_DUE else deadline)


def test_an_owners_fields_are_named_after_the_owner() -> None:
    named = of_owner(
        lists(
            currently_due=["dob.day", "person_1.email", "person_12.email"],
            past_due=["dob.day"],
            eventually_due=["id_number"],
            pending_verification=["verification.document"],
            alternatives=[(["dob.day"], ["id_number"])],
            errors=[("dob.day", "bad")],
        ),
        "person_1",
    )
    assert list(named.currently_due) == [
        "person_1.dob.day",
        "person_1.email",
        "person_1.person_12.email",
    ]
    assert list(named.past_due) == ["person_1.dob.day"]
    assert list(named.eventually_due) == ["person_1.id_number"]
    assert list(named.pending_verification) == ["person_1.verification.document"]
    assert list(named.alternatives) == [(("person_1.dob.day",), ("person_1.id_number",))]
    assert list(named.errors) == [("person_1.dob.day", "bad")]
