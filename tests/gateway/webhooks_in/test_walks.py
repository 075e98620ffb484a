"""Since when a database that may have lost events is compared with Stripe's list."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.webhooks_in.walks import (
    EVENTS_KEPT,
    LOST_WITHIN,
    compared_since,
    is_last_comparison,
    walked_until,
)

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("marker", "newest_time", "since"),
    [
        # The marker alone counts, however old the newest event is that the database has.
        (NOW - HOUR, NOW, NOW - HOUR),
        (NOW - HOUR, NOW - 25 * HOUR, NOW - HOUR),
        (NOW - HOUR, None, NOW - HOUR),
        # Before anybody has shown anything.
        (None, NOW, NOW - LOST_WITHIN),
        (None, None, None),
        # Stripe has nothing older.
        (NOW - EVENTS_KEPT + SECOND, NOW, NOW - EVENTS_KEPT + SECOND),
        (NOW - EVENTS_KEPT - SECOND, NOW, NOW - EVENTS_KEPT),
        (None, NOW - EVENTS_KEPT, NOW - EVENTS_KEPT),
        (NOW - 2 * EVENTS_KEPT, None, NOW - EVENTS_KEPT),
    ],
)
def test_a_comparison_begins_at_the_marker(
    marker: datetime | None, newest_time: datetime | None, since: datetime | None
) -> None:
    assert compared_since(marker, newest_time, NOW) == since


def test_a_marker_is_the_margin_before_the_newest_event() -> None:
    assert walked_until(NOW) == NOW - LOST_WITHIN


def test_what_may_not_be_listed_yet_is_compared_once_more() -> None:
    assert not is_last_comparison(NOW, NOW)
    assert not is_last_comparison(NOW, NOW + LOST_WITHIN - SECOND)
    assert is_last_comparison(NOW, NOW + LOST_WITHIN)
