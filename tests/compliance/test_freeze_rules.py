"""When a freeze is expected, and when that is an alarm: edges, and what holds of every account."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

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
from compliance.forecast.durations import Durations, Length
from compliance.forecast.rules import (
    DEFAULT_REVIEW_TIME,
    MAX_CAUSES,
    NOTICE,
    UNDATED,
    VOLUME_HORIZON,
    AccountState,
    Forecast,
    Ground,
    Kind,
    Model,
    Standing,
    Uncertainty,
    Volume,
    forecast,
)
from compliance.forecast.stripe_figures import THRESHOLDS, read_delays, read_thresholds

AS_OF = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
DAY = timedelta(days=1)
MODEL = Model(Durations(), Durations(), read_thresholds(THRESHOLDS), read_delays())


def wanted(
    severity: int = CURRENTLY_DUE,
    deadline: datetime | None = None,
    *,
    field: str = "company.tax_id",
    since: datetime = AS_OF - DAY,
    future: bool = False,
    capabilities: tuple[str, ...] = (),
    alternatives: tuple[str, ...] = (),
) -> Standing:
    requirement = Requirement(
        field, severity, deadline, capabilities, (), future, alternatives, hosted_only=False
    )
    return Standing(requirement, since)


def account(*standings: Standing, charges: bool = True, payouts: bool = True) -> AccountState:
    return AccountState("US", charges, payouts, ("card_payments", "transfers"), standings)


def told(
    *standings: Standing,
    volumes: tuple[Volume, ...] = (),
    model: Model = MODEL,
    as_of: datetime = AS_OF,
) -> dict[Kind, Forecast]:
    found = forecast(account(*standings), volumes, model, as_of)
    return {item.kind: item for item in found}


def test_nothing_wanted_and_nothing_dated_is_no_forecast() -> None:
    assert told() == {}
    assert told(wanted(CURRENTLY_DUE), wanted(EVENTUALLY_DUE), wanted(PENDING_VERIFICATION)) == {}
    assert told(wanted(EVENTUALLY_DUE, future=True)) == {}


def test_a_deadline_is_the_moment_and_says_by_when_to_act() -> None:
    deadline = AS_OF + 30 * DAY
    found = told(wanted(CURRENTLY_DUE, deadline, alternatives=("company.verification.document",)))
    for kind, days in ((Kind.CHARGES, 28), (Kind.PAYOUTS, 14)):
        item = found[kind]
        assert item.expected_time == deadline
        assert item.latest_time == deadline + days * DAY
        assert item.act_by_time == deadline - DEFAULT_REVIEW_TIME
        assert [cause.ground for cause in item.causes] == [Ground.UNANSWERED]
        assert item.causes[0].alternative_fields == ("company.verification.document",)


@pytest.mark.parametrize(
    ("left", "alarms"),
    [
        (NOTICE + DEFAULT_REVIEW_TIME, True),
        (NOTICE + DEFAULT_REVIEW_TIME + MOMENT, False),
        (timedelta(0), True),
        (-90 * DAY, True),
    ],
)
def test_an_alarm_begins_the_notice_and_a_review_before(left: timedelta, alarms: bool) -> None:
    found = told(wanted(CURRENTLY_DUE, AS_OF + left))
    assert [item.is_alarm for item in found.values()] == [alarms, alarms]


@pytest.mark.parametrize(
    ("since", "left", "chance"),
    [
        # By default a review takes up to three days: over just in time, or a moment late.
        (AS_OF - DAY, DEFAULT_REVIEW_TIME - DAY, 0.0),
        (AS_OF - DAY, DEFAULT_REVIEW_TIME - DAY - MOMENT, 1.0),
        # It takes longer than any does by then.
        (AS_OF - DEFAULT_REVIEW_TIME, 10 * DAY, 0.0),
        (AS_OF - DEFAULT_REVIEW_TIME - MOMENT, 10 * DAY, 1.0),
        # The deadline has passed while Stripe was still looking.
        (AS_OF, timedelta(0), 1.0),
    ],
)
def test_what_is_handed_in_has_to_be_verified_by_the_deadline(
    since: datetime, left: timedelta, chance: float
) -> None:
    found = told(wanted(PENDING_VERIFICATION, AS_OF + left, since=since))
    assert {item.causes[0].chance for item in found.values()} == {chance}
    assert {item.is_alarm for item in found.values()} == {chance == 1.0}
    assert {item.causes[0].ground for item in found.values()} == {Ground.UNVERIFIED}


def test_reviews_that_were_seen_take_the_place_of_the_default() -> None:
    """Nine of ten took a day or less, one in ten a week."""
    seen = Durations.of([Length(DAY, True)] * 90 + [Length(7 * DAY, True)] * 10)
    model = replace(MODEL, reviews=seen)
    assert model.review_time == DAY
    in_time = told(wanted(PENDING_VERIFICATION, AS_OF + 5 * DAY, since=AS_OF), model=model)
    assert in_time[Kind.PAYOUTS].causes[0].chance == pytest.approx(0.1)
    assert not in_time[Kind.PAYOUTS].is_alarm
    # One more of a hundred is slow, and it is no longer nine of ten.
    slower = Durations.of([Length(DAY, True)] * 89 + [Length(7 * DAY, True)] * 11)
    late = told(
        wanted(PENDING_VERIFICATION, AS_OF + 5 * DAY, since=AS_OF),
        model=replace(MODEL, reviews=slower),
    )
    assert late[Kind.PAYOUTS].is_alarm
    # A day has gone by and it is not over: it is one of the slow ones.
    slow = told(wanted(PENDING_VERIFICATION, AS_OF + 5 * DAY, since=AS_OF - DAY), model=model)
    assert slow[Kind.PAYOUTS].causes[0].chance == pytest.approx(1.0)
    assert slow[Kind.PAYOUTS].is_alarm


def test_who_has_been_silent_for_longer_than_others_is_an_alarm() -> None:
    """Nine of ten answer on the second day, one never does."""
    answers = [Length(2 * DAY, True)] * 90 + [Length(60 * DAY, False)] * 10
    model = replace(MODEL, answers=Durations.of(answers))
    new = told(wanted(CURRENTLY_DUE, AS_OF + 10 * DAY, since=AS_OF), model=model)
    assert new[Kind.PAYOUTS].chance == pytest.approx(0.1)
    assert not new[Kind.PAYOUTS].is_alarm
    old = told(wanted(CURRENTLY_DUE, AS_OF + 10 * DAY, since=AS_OF - 2 * DAY), model=model)
    assert old[Kind.PAYOUTS].chance == pytest.approx(1.0)
    assert old[Kind.PAYOUTS].is_alarm
    # Too late to be verified, whoever answers.
    late = told(wanted(CURRENTLY_DUE, AS_OF + 3 * DAY, since=AS_OF), model=model)
    assert late[Kind.PAYOUTS].is_alarm


def test_past_due_may_stop_at_any_moment_since_then() -> None:
    since = AS_OF - 5 * DAY
    for deadline, expected in (
        (None, since),
        (since - DAY, since - DAY),
        # Stripe's word counts more than the date beside it.
        (AS_OF + 9 * DAY, since),
    ):
        item = told(wanted(PAST_DUE, deadline, since=since))[Kind.CHARGES]
        assert (item.expected_time, item.chance, item.is_alarm) == (expected, 1.0, True)


def test_announced_requirements_count_from_their_date_on() -> None:
    item = told(wanted(EVENTUALLY_DUE, AS_OF + 9 * DAY, future=True))[Kind.CHARGES]
    assert item.expected_time == AS_OF + 9 * DAY
    assert item.causes[0].ground is Ground.ANNOUNCED
    assert item.is_alarm


@pytest.mark.parametrize(
    ("capabilities", "field", "kinds"),
    [
        ((), "company.tax_id", ["CHARGES", "PAYOUTS"]),
        (("card_payments",), "company.tax_id", ["CHARGES", "PAYOUTS"]),
        (("transfers",), "company.tax_id", ["PAYOUTS"]),
        ((), "external_account", ["PAYOUTS"]),
    ],
)
def test_each_kind_goes_by_what_it_needs(
    capabilities: tuple[str, ...], field: str, kinds: list[str]
) -> None:
    found = told(wanted(CURRENTLY_DUE, AS_OF, capabilities=capabilities, field=field))
    assert [kind.value for kind in found] == kinds


def test_what_is_stopped_is_not_forecast() -> None:
    due = wanted(CURRENTLY_DUE, AS_OF + DAY)
    for charges in (True, False):
        for payouts in (True, False):
            state = account(due, charges=charges, payouts=payouts)
            kinds = {item.kind for item in forecast(state, (), MODEL, AS_OF)}
            assert kinds == {
                kind for kind, on in ((Kind.CHARGES, charges), (Kind.PAYOUTS, payouts)) if on
            }


FULL_NUMBER = wanted(EVENTUALLY_DUE, field="person_1.id_number")
OLD = AS_OF - 400 * DAY


@pytest.mark.parametrize(
    ("volume", "days"),
    [
        (Volume("USD", 40_000_000, 1_000_000, OLD), 10),
        (Volume("USD", 49_999_999, 1, OLD), 1),
        # The horizon, and a moment beyond it.
        (Volume("USD", 50_000_000 - 60, 1, OLD), 60),
        (Volume("USD", 50_000_000 - 61, 1, OLD), None),
        # Reached some days ago: Stripe may ask at any moment, for as long as its delays last.
        (Volume("USD", 60_000_000, 1_000_000, OLD), -10),
        (Volume("USD", 50_000_000, 0, OLD), 0),
        (Volume("USD", 49_999_999, 0, OLD), None),
        (Volume("USD", 49_999_999, -5, OLD), None),
        (Volume("EUR", 60_000_000, 1_000_000, OLD), None),
    ],
)
def test_a_volume_is_reached_as_the_merchant_goes_on(volume: Volume, days: int | None) -> None:
    item = told(FULL_NUMBER, volumes=(volume,)).get(Kind.PAYOUTS)
    if days is None:
        assert item is None
    else:
        assert item is not None
        assert item.expected_time == AS_OF + days * DAY
        assert item.causes[0].ground is Ground.THRESHOLD
        assert item.causes[0].source.startswith("https://support.stripe.com/")


def test_a_threshold_that_stripe_did_not_act_on_is_forgotten_after_its_delay() -> None:
    for days, kinds in ((14, 2), (15, 1), (28, 1), (29, 0)):
        volume = Volume("USD", 50_000_000 + days * 1_000, 1_000, OLD)
        assert len(told(FULL_NUMBER, volumes=(volume,))) == kinds
    assert max(MODEL.delays.values()) < VOLUME_HORIZON, "what is cut off is forgotten already"


def test_the_first_of_volume_and_age_counts() -> None:
    tax_id = wanted(EVENTUALLY_DUE, field="company.tax_id")
    first = AS_OF - 20 * DAY
    by_age = told(tax_id, volumes=(Volume("USD", 100, 1, first),))[Kind.CHARGES]
    assert by_age.expected_time == first + 30 * DAY
    by_volume = told(tax_id, volumes=(Volume("USD", 50_000, 2_000, first),))[Kind.CHARGES]
    assert by_volume.expected_time == AS_OF + 5 * DAY


def test_thresholds_are_those_of_the_country_the_capability_and_the_time() -> None:
    volume = Volume("USD", 49_000_000, 1_000_000, OLD)
    state = account(FULL_NUMBER)
    assert forecast(state, (volume,), MODEL, AS_OF)
    assert not forecast(replace(state, country_code="CA"), (volume,), MODEL, AS_OF)
    assert not forecast(replace(state, capabilities=("transfers",)), (volume,), MODEL, AS_OF)
    before = read_thresholds(THRESHOLDS)[0].start_time - MOMENT
    young = replace(volume, first_time=before - DAY)
    assert not forecast(state, (young,), MODEL, before)
    assert forecast(state, (young,), MODEL, before + MOMENT)


_TIMES = st.integers(-2_000, 2_000).map(lambda hours: AS_OF + timedelta(hours=hours))
_STANDINGS = st.builds(
    wanted,
    st.integers(EVENTUALLY_DUE, PAST_DUE),
    st.none() | _TIMES,
    field=st.sampled_from(
        ("company.tax_id", "person_1.id_number", "external_account", "interv_1.x.form")
    ),
    since=_TIMES,
    future=st.booleans(),
    capabilities=st.sampled_from(((), ("card_payments",), ("transfers",), ("oxxo_payments",))),
)
_LENGTHS = st.lists(
    st.builds(Length, st.integers(-5, 900).map(lambda h: timedelta(hours=h)), st.booleans()),
    max_size=60,
)
_MODELS = st.builds(
    lambda reviews, answers: replace(
        MODEL, reviews=Durations.of(reviews), answers=Durations.of(answers)
    ),
    _LENGTHS,
    _LENGTHS,
)
_VOLUMES = st.lists(
    st.builds(
        Volume,
        st.sampled_from(("USD", "EUR")),
        st.integers(0, 10**9),
        st.integers(-(10**6), 10**7),
        _TIMES,
    ),
    max_size=2,
).map(tuple)


@given(st.lists(_STANDINGS, max_size=60), _VOLUMES, _MODELS)
def test_total(standings: list[Standing], volumes: tuple[Volume, ...], model: Model) -> None:
    found = forecast(account(*standings), volumes, model, AS_OF)
    assert len({item.kind for item in found}) == len(found)
    for item in found:
        assert 0 <= item.chance <= 1
        assert item.act_by_time <= item.expected_time <= item.latest_time
        assert 1 <= len(item.causes) <= MAX_CAUSES
        assert item.expected_time == min(cause.expected_time for cause in item.causes)
    # No clock is read: the same facts, the same forecast.
    assert found == forecast(account(*standings), volumes, model, AS_OF)


@given(st.lists(_STANDINGS, max_size=5), _STANDINGS, _VOLUMES, _MODELS)
def test_one_requirement_more_is_never_later_and_takes_no_alarm_back(
    standings: list[Standing], more: Standing, volumes: tuple[Volume, ...], model: Model
) -> None:
    before = told(*standings, volumes=volumes, model=model)
    after = told(*standings, more, volumes=volumes, model=model)
    for kind, item in before.items():
        assert after[kind].expected_time <= item.expected_time
        assert after[kind].is_alarm >= item.is_alarm
        assert after[kind].chance >= item.chance


@given(_STANDINGS, st.timedeltas(timedelta(0), 90 * DAY), _VOLUMES, _MODELS)
def test_an_earlier_deadline_is_never_later_and_takes_no_alarm_back(
    standing: Standing, earlier: timedelta, volumes: tuple[Volume, ...], model: Model
) -> None:
    deadline = standing.requirement.deadline_time
    if deadline is None:
        deadline = AS_OF + 100 * DAY
        later = told(standing, volumes=volumes, model=model)
    else:
        later = told(standing, volumes=volumes, model=model)
    moved = replace(standing.requirement, deadline_time=deadline - earlier)
    sooner = told(replace(standing, requirement=moved), volumes=volumes, model=model)
    for kind, item in later.items():
        assert sooner[kind].expected_time <= item.expected_time
        assert sooner[kind].is_alarm >= item.is_alarm
        assert sooner[kind].chance >= item.chance - 1e-9


def test_an_account_that_is_not_seen_as_a_whole_is_never_all_well() -> None:
    cut = replace(account(wanted(CURRENTLY_DUE)), truncated=True)
    charges, payouts = forecast(cut, (), MODEL, AS_OF)
    for item, kind in ((charges, Kind.CHARGES), (payouts, Kind.PAYOUTS)):
        assert (item.kind, item.uncertainty) == (kind, Uncertainty.TRUNCATED)
        assert (item.expected_time, item.latest_time, item.act_by_time) == (UNDATED,) * 3
        assert (item.is_dated, item.is_alarm, item.causes) == (False, False, ())
    # What is stopped already has none, as ever.
    (only,) = forecast(replace(cut, charges_enabled=False), (), MODEL, AS_OF)
    assert only.kind is Kind.PAYOUTS


@given(st.lists(_STANDINGS, max_size=5), st.booleans(), st.booleans(), _VOLUMES, _MODELS)
def test_a_cut_account_is_forecast_as_far_as_it_is_seen(
    standings: list[Standing],
    charges: bool,
    payouts: bool,
    volumes: tuple[Volume, ...],
    model: Model,
) -> None:
    state = account(*standings, charges=charges, payouts=payouts)
    whole = {item.kind: item for item in forecast(state, volumes, model, AS_OF)}
    found = forecast(replace(state, truncated=True), volumes, model, AS_OF)
    enabled = {Kind.CHARGES: charges, Kind.PAYOUTS: payouts}
    assert [item.kind for item in found] == [kind for kind in Kind if enabled[kind]]
    for item in found:
        assert item.uncertainty is Uncertainty.TRUNCATED
        assert item.is_dated == (item.kind in whole)
        if item.is_dated:
            assert replace(item, uncertainty=None) == whole[item.kind]


# An account has each field once.
_ACCOUNTS = st.lists(_STANDINGS, max_size=5, unique_by=lambda one: one.requirement.field)


@given(_ACCOUNTS, st.integers(0, 5), _VOLUMES, _MODELS)
def test_what_a_cut_hides_makes_nothing_later_and_takes_no_alarm_back(
    standings: list[Standing], seen: int, volumes: tuple[Volume, ...], model: Model
) -> None:
    before = told(*standings, volumes=volumes, model=model)
    cut = replace(account(*standings[:seen]), truncated=True)
    after = {item.kind: item for item in forecast(cut, volumes, model, AS_OF, before)}
    for kind, item in before.items():
        assert after[kind].expected_time <= item.expected_time
        assert after[kind].is_alarm >= item.is_alarm
        assert after[kind].chance >= item.chance
    # Seen as a whole again, what is gone is gone.
    whole = forecast(account(*standings[:seen]), volumes, model, AS_OF, before)
    assert whole == forecast(account(*standings[:seen]), volumes, model, AS_OF)


def test_what_a_cut_hides_grows_old_and_is_no_cause_where_it_is_seen_to_be_none() -> None:
    deadline = AS_OF + 20 * DAY
    before = told(wanted(CURRENTLY_DUE, deadline, since=AS_OF))
    cut = replace(account(), truncated=True)
    for item in forecast(cut, (), MODEL, deadline, before):
        assert (item.expected_time, item.chance, item.is_alarm) == (deadline, 1.0, True)
    # The same field without a date: Stripe has put it off.
    put_off = replace(account(wanted(EVENTUALLY_DUE)), truncated=True)
    assert not any(item.is_dated for item in forecast(put_off, (), MODEL, deadline, before))
