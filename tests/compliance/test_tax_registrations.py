"""A registration counts from its start until its end, whatever Stripe said when it was asked."""

from datetime import UTC, datetime, timedelta

import pytest

from compliance.accounts.snapshot import AccountContent, TaxRegistration
from compliance.checks.canonical import build, plain

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 7, 1, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("as_of", "end", "state"),
    [
        (START - MOMENT, END, "SCHEDULED"),
        (START, END, "ACTIVE"),
        (END - MOMENT, END, "ACTIVE"),
        (END, END, "EXPIRED"),
        (END, None, "ACTIVE"),
        (START - MOMENT, None, "SCHEDULED"),
    ],
)
def test_states_by_date(as_of: datetime, end: datetime | None, state: str) -> None:
    assert TaxRegistration("DE", "", "standard", START, end).state(as_of) == state


def test_contents_of_earlier_releases_have_no_registrations() -> None:
    content = AccountContent(True, True, True, "", "DE", False, (), (), "ACTIVE", (), ())
    stored = plain(content)
    del stored["tax_registrations"]
    assert build(stored, AccountContent) == content
