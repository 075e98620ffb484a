"""What Stripe's word changes of a verification: nothing final is taken back, in whatever order
looks come in, and nothing personal is taken over."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.verifications.domain import (
    FIRST_LOOK,
    LAST_LOOK,
    LOOKED_AT_FOR,
    REDACTION_LOOK,
    UNRECOGNIZED,
    Redaction,
    State,
    UnreadableSessionError,
    Verification,
    as_stripe_says,
    has_news,
    is_countable,
    waits_for_person,
)
from gateway.verifications.messages import verification_message

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def verification(**changes: Any) -> Verification:
    """One that Stripe is being asked for, but for the changes."""
    new = Verification(
        verification_id="vfn_1",
        subject_id="ada",
        corridor="default",
        type="DOCUMENT",
        state=State.CREATING,
        create_request_id="r-1",
        create_time=NOW,
        update_time=NOW,
    )
    return replace(new, **changes)


def session(status: str, error: Any = None, redaction: str = "") -> dict[str, Any]:
    """A session of Stripe's with more than is taken over."""
    return {
        "id": "vs_1",
        "status": status,
        "last_error": None if error is None else {"code": error, "reason": "Ada's passport"},
        "redaction": {"status": redaction} if redaction else None,
        "url": "https://verify.stripe.com/secret",
        "client_secret": "vs_1_secret",
        "verified_outputs": {"first_name": "Ada"},
    }


def after(*looks: tuple[datetime, dict[str, Any]], now: datetime = NOW) -> Verification:
    stands = verification()
    for look_time, seen in looks:
        stands = as_stripe_says(stands, seen, look_time, now)
    return stands


@pytest.mark.parametrize(
    ("seen", "state", "counts", "waits"),
    [
        (session("requires_input"), State.REQUIRES_INPUT, False, True),
        (session("requires_input", "document_expired"), State.REQUIRES_INPUT, False, True),
        (session("processing"), State.PROCESSING, False, False),
        (session("verified"), State.VERIFIED, True, False),
        (session("canceled"), State.CANCELED, False, False),
        (session("verified", redaction="processing"), State.VERIFIED, False, False),
        (session("verified", redaction="redacted"), State.VERIFIED, False, False),
        (session("canceled", redaction="validated"), State.CANCELED, False, False),
    ],
)
def test_what_a_session_means(seen: Any, state: State, counts: bool, waits: bool) -> None:
    stands = after((NOW, seen))
    assert (stands.state, is_countable(stands), waits_for_person(stands)) == (state, counts, waits)
    assert (stands.verify_time is not None) == (state is State.VERIFIED)
    for words in (str(stands), str(verification_message(stands))):
        assert "Ada" not in words
        assert "secret" not in words


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (None, ""),
        ("", ""),
        ("selfie_face_mismatch", "selfie_face_mismatch"),
        ("Ada Mapleton", UNRECOGNIZED),
        ("x" * 65, UNRECOGNIZED),
        ("x" * 64, "x" * 64),
        ({"a": 1}, UNRECOGNIZED),
    ],
)
def test_only_codes_are_kept_of_errors(error: Any, kept: str) -> None:
    assert after((NOW, session("requires_input", error))).error_code == kept


def test_a_status_that_is_not_known_is_not_guessed() -> None:
    for status in ("approved", "", None):
        with pytest.raises(UnreadableSessionError):
            after((NOW, {**session(""), "status": status}))


_SEEN = [
    session("requires_input"),
    session("processing"),
    session("requires_input", "abandoned"),
    session("verified"),
    session("verified", redaction="processing"),
    session("verified", redaction="redacted"),
]


def test_looks_in_any_order_end_where_the_last_one_does() -> None:
    looks = [(NOW + place * SECOND, seen) for place, seen in enumerate(_SEEN[:4])]
    redacted = [(NOW + place * SECOND, seen) for place, seen in enumerate(_SEEN[3:])]
    for several in (looks, looks[:3], redacted):
        expected = after(*several)
        for order in permutations(several):
            stands = after(*order)
            assert (stands.state, stands.redaction) == (expected.state, expected.redaction)
            assert stands.error_code == expected.error_code
            assert stands.look_time == expected.look_time


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(_SEEN)), max_size=8))
def test_what_is_final_stays_and_redactions_only_grow(looks: list[tuple[int, Any]]) -> None:
    stands = verification()
    for seconds, seen in looks:
        before, stands = stands, as_stripe_says(stands, seen, NOW + seconds * SECOND, NOW)
        if before.state is State.VERIFIED:
            assert stands.state is State.VERIFIED
        if before.redaction:
            assert stands.redaction in (before.redaction, Redaction.REDACTED)
        if not is_countable(before) and before.state is State.VERIFIED:
            assert not is_countable(stands)


def test_the_earliest_word_says_when_it_was_verified() -> None:
    told = NOW - timedelta(minutes=3)
    seen = as_stripe_says(verification(), session("verified"), NOW, NOW)
    assert seen.verify_time == NOW
    later = as_stripe_says(seen, session("verified"), NOW + SECOND, NOW, told)
    assert (later.verify_time, has_news(seen, later)) == (told, True)
    again = as_stripe_says(later, session("verified"), NOW + SECOND, NOW, told + SECOND)
    assert (again.verify_time, has_news(later, again)) == (told, False)


@pytest.mark.parametrize(
    ("age", "seen", "pause"),
    [
        (timedelta(0), session("requires_input"), FIRST_LOOK),
        (timedelta(hours=8), session("processing"), timedelta(hours=1)),
        (timedelta(days=80), session("requires_input"), LAST_LOOK),
        (LOOKED_AT_FOR, session("requires_input"), LAST_LOOK),
        (LOOKED_AT_FOR + SECOND, session("requires_input"), None),
        (timedelta(0), session("verified"), None),
        (timedelta(0), session("canceled"), None),
        (LOOKED_AT_FOR + SECOND, session("verified", redaction="processing"), REDACTION_LOOK),
        (timedelta(0), session("verified", redaction="redacted"), None),
    ],
)
def test_when_it_is_looked_at_again(age: timedelta, seen: Any, pause: timedelta | None) -> None:
    now = NOW + age
    stands = as_stripe_says(verification(), seen, now, now)
    assert stands.next_look_time == (None if pause is None else now + pause)
