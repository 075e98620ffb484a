"""What is learnt of lengths from snapshots, and Stripe's figures as data with lines."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.accounts.requirements import (
    CURRENTLY_DUE,
    EVENTUALLY_DUE,
    PAST_DUE,
    PENDING_VERIFICATION,
    Requirement,
)
from compliance.data_lines import DataError
from compliance.forecast.durations import MIN_AT_RISK, MIN_ENDED, Durations, Length
from compliance.forecast.spans import (
    EndedSpan,
    Span,
    Stage,
    advance,
    answer_lengths,
    review_lengths,
)
from compliance.forecast.stripe_figures import (
    DELAYS,
    THRESHOLDS,
    read_delays,
    read_thresholds,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def requirement(field: str, severity: int) -> Requirement:
    return Requirement(field, severity, None, (), (), False, (), hosted_only=False)


def test_too_few_ends_teach_nothing() -> None:
    assert not Durations.of([Length(DAY, True)] * (MIN_ENDED - 1)).is_known
    assert Durations.of([Length(DAY, True)] * MIN_ENDED).is_known
    nothing = Durations.of([Length(DAY, False)] * 100)
    assert (nothing.quantile(0.9), nothing.chance_of_more(DAY, DAY)) == (None, 1.0)


def test_quantiles_are_those_of_all_that_ended() -> None:
    seen = Durations.of(Length(n * HOUR, True) for n in range(1, 101))
    assert seen.quantile(0.5) == 50 * HOUR
    assert seen.quantile(0.9) == 90 * HOUR
    # The last few are too few to tell of the tail.
    assert seen.known_until == (100 - MIN_AT_RISK + 1) * HOUR
    assert seen.quantile(1.0) is None


def test_one_absurd_length_moves_a_quantile_by_one_place() -> None:
    lengths = [Length(n * HOUR, True) for n in range(1, 101)]
    absurd = [*lengths[:50], Length(100_000 * DAY, True), *lengths[51:]]
    assert Durations.of(absurd).quantile(0.5) == 50 * HOUR
    assert Durations.of(absurd).quantile(0.9) == 91 * HOUR


def test_what_is_still_open_counts_as_long_as_it_has_been() -> None:
    """Fifty ended after a day, fifty have been open for ten: half take longer than a day."""
    seen = Durations.of([Length(DAY, True)] * 50 + [Length(10 * DAY, False)] * 50)
    assert seen.quantile(0.5) == DAY
    assert seen.quantile(0.9) is None
    assert seen.chance_of_more(timedelta(0), 2 * DAY) == pytest.approx(0.5)
    assert seen.chance_of_more(DAY, DAY) == pytest.approx(1.0)
    assert seen.chance_of_more(10 * DAY, DAY) == 1.0


_LENGTHS = st.lists(
    st.builds(Length, st.integers(-5, 90).map(lambda h: h * HOUR), st.booleans()), max_size=80
)


@given(_LENGTHS, st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_more_time_is_never_less_likely_enough(
    lengths: list[Length], so_far: int, more: int, further: int
) -> None:
    seen = Durations.of(lengths)
    near = seen.chance_of_more(so_far * HOUR, more * HOUR)
    far = seen.chance_of_more(so_far * HOUR, (more + further) * HOUR)
    assert 0 <= far <= near <= 1


def test_spans_follow_a_requirement_through_its_stages() -> None:
    """Due, past due, handed in, refused, handed in again, verified."""
    moments = [START + n * DAY for n in range(7)]
    severities = [
        EVENTUALLY_DUE,
        CURRENTLY_DUE,
        PAST_DUE,
        PENDING_VERIFICATION,
        CURRENTLY_DUE,
        PENDING_VERIFICATION,
    ]
    spans: tuple[Span, ...] = ()
    ended: list[EndedSpan] = []
    for moment, severity in zip(moments, severities, strict=False):
        spans, over = advance(spans, [requirement("a", severity)], moment)
        ended += over
        # What has not changed ends nothing.
        assert advance(spans, [requirement("a", severity)], moment + HOUR) == (spans, ())
    assert spans == (Span("a", Stage.PENDING, moments[5]),)
    spans, over = advance(spans, [], moments[6])
    ended += over
    assert spans == ()
    assert [(e.span.stage, e.until - e.span.since, e.became) for e in ended] == [
        (Stage.LATER, DAY, Stage.DUE),
        # Past due is not answered: the span goes on.
        (Stage.DUE, 2 * DAY, Stage.PENDING),
        (Stage.PENDING, DAY, Stage.DUE),
        (Stage.DUE, DAY, Stage.PENDING),
        (Stage.PENDING, DAY, None),
    ]
    assert review_lengths(ended, (), moments[6]) == [Length(DAY, True)] * 2
    assert answer_lengths(ended, (), moments[6]) == [Length(2 * DAY, True), Length(DAY, True)]


def test_open_spans_are_lengths_that_have_not_ended_and_put_off_is_not_answered() -> None:
    spans, _ = advance((), [requirement("a", PENDING_VERIFICATION), requirement("b", 3)], START)
    later = START + 3 * DAY
    assert review_lengths((), spans, later) == [Length(3 * DAY, False)]
    assert answer_lengths((), spans, later) == [Length(3 * DAY, False)]
    _, ended = advance(spans, [requirement("a", 2), requirement("b", EVENTUALLY_DUE)], later)
    assert answer_lengths(ended, (), later) == [Length(3 * DAY, False)]


def test_the_figures_name_their_source_and_are_those_that_stripe_published() -> None:
    tax_id, full_number = read_thresholds(THRESHOLDS)
    assert (tax_id.pattern, tax_id.volume_minor, tax_id.days) == (
        "company.tax_id",
        60_000,
        30 * DAY,
    )
    assert (full_number.pattern, full_number.volume_minor, full_number.days) == (
        "*.id_number",
        50_000_000,
        None,
    )
    assert all(
        one.source.startswith("https://support.stripe.com/") for one in (tax_id, full_number)
    )
    assert read_delays() == {"CHARGES": 28 * DAY, "PAYOUTS": 14 * DAY}


GOOD = "US\tcard_payments\tcompany.tax_id\tUSD\t60000\t30\t2024-09-30T00:00:00Z\t2026-11-29\thttps://a.b/c"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("US\t", "USA\t", "'USA' is no country"),
        ("card_payments", "Card", "'Card' is no capability"),
        ("company.tax_id", "", "'' is no requirement"),
        ("USD", "usd", "'usd' is no currency"),
        ("60000", "-1", "'-1' is no volume"),
        ("60000", "0", "'0' is no volume"),
        ("\t30\t", "\t3651\t", "'3651' is no number of days up to 3650"),
        ("60000\t30", "\t", "says neither a volume nor days"),
        ("2024-09-30T", "2024-09-31T", "is no time"),
        ("2026-11-29", "soon", "'soon' is no read on"),
        ("https://a.b/c", "http://a.b/c", "is no source"),
        ("\tUSD", "", "has 8 columns, not 9"),
        ("US\t", "\xff\t", "not UTF-8"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_by_its_number(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = tmp_path / "mine.tsv"
    path.write_bytes(f"# mine\n{GOOD}\n{GOOD.replace(old, new, 1)}\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"mine\.tsv line 3: ") as caught:
        read_thresholds(path)
    assert said in str(caught.value)


def test_a_file_of_the_operators_own_adds_to_the_figures(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text(f"{GOOD.replace('US', 'DE', 1).replace('USD', 'EUR')}\n\n", encoding="utf-8")
    both = read_thresholds(THRESHOLDS, path)
    assert [one.country_code for one in both] == ["US", "US", "DE"]
    for days in ("0", "3650"):
        path.write_text(GOOD.replace("\t30\t", f"\t{days}\t"), encoding="utf-8")
        assert read_thresholds(path)[0].days == int(days) * DAY


def test_delays_are_said_once_for_each_kind(tmp_path: Path) -> None:
    lines = DELAYS.read_text(encoding="utf-8").splitlines()
    path = tmp_path / "delays.tsv"
    path.write_text("\n".join([*lines, lines[-1]]), encoding="utf-8")
    with pytest.raises(DataError, match="PAYOUTS is there twice"):
        read_delays(path)
    path.write_text("\n".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(DataError, match="says nothing of PAYOUTS"):
        read_delays(path)
    path.write_text("\n".join(lines).replace("\t28\t", "\t\t"), encoding="utf-8")
    with pytest.raises(DataError, match="'' is no number of days"):
        read_delays(path)


def test_what_a_cut_hides_is_not_over() -> None:
    spans, _ = advance((), [requirement("a", PENDING_VERIFICATION), requirement("b", 3)], START)
    later = START + DAY
    seen, ended = advance(spans, [requirement("b", 2)], later, truncated=True)
    assert seen == (spans[0], Span("b", Stage.PENDING, later))
    # What is seen to have changed has.
    assert ended == (EndedSpan(spans[1], later, Stage.PENDING),)
    assert advance(seen, [requirement("b", 2)], later)[0] == (seen[1],)
