"""What is said of a primary: the rule, case by case and against another way to say it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.durability import (
    NOT_LOOKED_AT,
    Cause,
    Durability,
    Reading,
    Standbys,
    Statement,
    lost_nothing,
    state,
)

WHOLE = Reading(
    in_recovery=False,
    read_only=False,
    fsync=True,
    full_page_writes=True,
    synchronous_commit="on",
    standby_names="ANY 1 (a, b)",
    standbys=Standbys(count=2, flushed=1_000),
    timeline=1,
    system=7,
    committed=1_000,
)
SYNCHRONOUS = Statement(Durability.SYNCHRONOUS)


@pytest.mark.parametrize(
    ("changed", "durability", "cause"),
    [
        ({}, Durability.SYNCHRONOUS, None),
        ({"committed": None}, Durability.SYNCHRONOUS, None),
        ({"synchronous_commit": "remote_apply"}, Durability.SYNCHRONOUS, None),
        ({"standbys": Standbys(1, 1_000)}, Durability.SYNCHRONOUS, None),
        ({"in_recovery": True, "timeline": 0}, Durability.READ_ONLY, Cause.IN_RECOVERY),
        ({"read_only": True}, Durability.READ_ONLY, Cause.READ_ONLY_TRANSACTIONS),
        ({"fsync": False}, Durability.ASYNCHRONOUS, Cause.FSYNC_OFF),
        ({"full_page_writes": False}, Durability.ASYNCHRONOUS, Cause.FULL_PAGE_WRITES_OFF),
        ({"synchronous_commit": "off"}, Durability.ASYNCHRONOUS, Cause.COMMIT_NOT_AWAITED),
        ({"synchronous_commit": "local"}, Durability.ASYNCHRONOUS, Cause.COMMIT_NOT_AWAITED),
        ({"synchronous_commit": "remote_write"}, Durability.ASYNCHRONOUS, Cause.COMMIT_NOT_AWAITED),
        # Whatever a later version of PostgreSQL adds is not taken for enough.
        ({"synchronous_commit": "more"}, Durability.ASYNCHRONOUS, Cause.COMMIT_NOT_AWAITED),
        ({"standby_names": ""}, Durability.ASYNCHRONOUS, Cause.NO_STANDBY_NAMED),
        ({"standby_names": " "}, Durability.ASYNCHRONOUS, Cause.NO_STANDBY_NAMED),
        ({"standbys": None}, Durability.UNKNOWN, Cause.STANDBYS_HIDDEN),
        # What the settings say is known all the same.
        ({"standbys": None, "standby_names": ""}, Durability.ASYNCHRONOUS, Cause.NO_STANDBY_NAMED),
        ({"standbys": Standbys(0, 0)}, Durability.ASYNCHRONOUS, Cause.NO_SYNCHRONOUS_STANDBY),
        ({"committed": 1_001}, Durability.ASYNCHRONOUS, Cause.COMMIT_NOT_ON_STANDBY),
    ],
)
def test_nothing_may_speak_against_it(
    changed: dict[str, object], durability: Durability, cause: Cause | None
) -> None:
    assert state(replace(WHOLE, **changed)) == Statement(durability, cause)  # type: ignore[arg-type]


READINGS = st.builds(
    Reading,
    in_recovery=st.booleans(),
    read_only=st.booleans(),
    fsync=st.booleans(),
    full_page_writes=st.booleans(),
    synchronous_commit=st.sampled_from(["on", "remote_apply", "remote_write", "local", "off"]),
    standby_names=st.sampled_from(["", "*", "ANY 2 (a, b, c)"]),
    standbys=st.none() | st.builds(Standbys, count=st.integers(0, 2), flushed=st.integers(0, 3)),
    timeline=st.integers(1, 2),
    system=st.just(7),
    committed=st.none() | st.integers(0, 3),
)


@given(READINGS)
def test_it_is_synchronous_exactly_if_a_crash_of_the_primary_loses_nothing(seen: Reading) -> None:
    """Told the other way round: each single thing that lets a commit be lost, or unseen."""
    may_lose = [
        seen.in_recovery,
        seen.read_only,
        not seen.fsync,
        not seen.full_page_writes,
        seen.synchronous_commit in ("off", "local", "remote_write"),
        seen.standby_names == "",
        seen.standbys is None,
        seen.standbys is not None and seen.standbys.count == 0,
        seen.standbys is not None
        and seen.committed is not None
        and seen.standbys.flushed < seen.committed,
    ]
    said = state(seen)
    assert said.is_synchronous == (not any(may_lose))
    assert (said.cause is None) == said.is_synchronous
    assert said.durability is not Durability.UNKNOWN or seen.standbys is None


@pytest.mark.parametrize(
    ("before", "after", "nothing_lost"),
    [
        (SYNCHRONOUS, SYNCHRONOUS, True),
        (None, SYNCHRONOUS, False),
        (SYNCHRONOUS, Statement(Durability.ASYNCHRONOUS, Cause.NO_STANDBY_NAMED), False),
        (Statement(Durability.ASYNCHRONOUS, Cause.NO_STANDBY_NAMED), SYNCHRONOUS, False),
        (NOT_LOOKED_AT, SYNCHRONOUS, False),
    ],
)
def test_only_who_looked_before_and_after_can_say_that_nothing_is_lost(
    before: Statement | None, after: Statement, nothing_lost: bool
) -> None:
    assert lost_nothing(before, after) == nothing_lost


def test_a_statement_is_told_with_its_cause() -> None:
    assert str(SYNCHRONOUS) == "SYNCHRONOUS"
    assert str(NOT_LOOKED_AT) == "UNKNOWN: NOT_LOOKED_AT"
