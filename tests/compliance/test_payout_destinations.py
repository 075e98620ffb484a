"""Payouts by the account that their currency goes to: verdict, forecast, and what is told."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from compliance.accounts.snapshot import ExternalAccount
from compliance.checks.facts import CheckKind, ExternalAccountFacts
from compliance.checks.findings import Verdict
from compliance.checks.payout_destinations import destinations, stopped_currencies
from compliance.checks.policy import BUILT_IN
from compliance.checks.rules import evaluate, verdict_of
from compliance.v1 import freeze_forecast_service_pb2
from compliance.v1 import requirement_service_pb2 as pb
from gateway.merchants.snapshot import EXTERNAL_ACCOUNT_STATES
from gateway.v1 import merchant_pb2
from gateway.v1.merchant_requirements_pb2 import Requirements
from tests.compliance.check_facts import account, payment
from tests.compliance.conftest import START
from tests.compliance.guard import Guard, unique
from tests.compliance.test_freeze_forecasts import GOOD, at_a_desk

NEW, ERRORED = "NEW", "ERRORED"


def external(
    name: str, currency: str = "EUR", state: str = NEW, *, default: bool = True
) -> ExternalAccountFacts:
    return ExternalAccountFacts(name, currency, state, default)


def found(*accounts: ExternalAccountFacts, **changes: Any) -> list[tuple[str, str]]:
    """What stands against a payout in EUR."""
    seen = account(external_accounts=accounts, **changes)
    facts = payment(kind=CheckKind.PAYOUT, currency_code="EUR", account=seen)
    return [(finding.code.name, finding.detail) for finding in evaluate(facts, BUILT_IN)]


@pytest.mark.parametrize(
    ("state", "code", "verdict"),
    [
        ("NEW", None, Verdict.ALLOW),
        ("VALIDATED", None, Verdict.ALLOW),
        ("VERIFIED", None, Verdict.ALLOW),
        ("ERRORED", "EXTERNAL_ACCOUNT_ERRORED", Verdict.DENY),
        ("DEACTIVATED", "EXTERNAL_ACCOUNT_ERRORED", Verdict.DENY),
        # Whether Stripe stops for it, Stripe says by payouts_enabled.
        ("VERIFICATION_FAILED", "REQUIREMENT_DUE_SOON", Verdict.ALLOW),
        ("UNRECOGNIZED", "DISABLED_REASON_UNKNOWN", Verdict.REVIEW),
    ],
)
def test_each_state_of_the_account_that_a_payout_goes_to(
    state: str, code: str | None, verdict: Verdict
) -> None:
    assert found(external("ba_1", state=state)) == ([(code, f"ba_1: {state}")] if code else [])
    seen = account(external_accounts=(external("ba_1", state=state),))
    for kind in CheckKind:
        of_kind = verdict if kind is CheckKind.PAYOUT else Verdict.ALLOW
        assert verdict_of(evaluate(payment(kind=kind, account=seen), BUILT_IN)) is of_kind


def test_every_state_of_the_gateway_is_judged() -> None:
    names = {
        merchant_pb2.ExternalAccountState.Name(state).removeprefix("EXTERNAL_ACCOUNT_STATE_")
        for state in EXTERNAL_ACCOUNT_STATES.values()
    }
    unknown = [
        name
        for name in names
        if "DISABLED_REASON_UNKNOWN" in dict(found(external("ba", state=name)))
    ]
    assert unknown == []


@pytest.mark.parametrize(
    ("accounts", "expected"),
    [
        # Another currency's is another's, and so is one that is no default.
        ((external("ba_1"), external("ba_2", "USD", ERRORED)), []),
        ((external("ba_1"), external("ba_2", state=ERRORED, default=False)), []),
        ((external("ba_1", state=ERRORED), external("ba_2", default=False)), ["ba_1"]),
        # Which one Stripe takes is not known: each counts.
        ((external("ba_1", state=ERRORED, default=False),), ["ba_1"]),
        ((external("ba_1", "USD"), external("ba_2", "GBP", ERRORED)), ["ba_2"]),
        ((), []),
    ],
)
def test_payouts_go_to_the_default_of_their_currency(
    accounts: tuple[ExternalAccountFacts, ...], expected: list[str]
) -> None:
    assert [detail.partition(":")[0] for _, detail in found(*accounts)] == expected


def test_snapshots_of_before_say_only_whether_any_is_errored() -> None:
    assert found(external_account_errored=True) == [("EXTERNAL_ACCOUNT_ERRORED", "acct_1")]
    assert found(external("ba_1"), external_account_errored=True) == []


def test_what_has_stopped_is_a_default() -> None:
    accounts = (
        external("ba_1", state=ERRORED),
        external("ba_2", "USD", "DEACTIVATED"),
        external("ba_3", "GBP", "VERIFICATION_FAILED"),
        external("ba_4", "CHF", ERRORED, default=False),
    )
    assert {
        one: item.external_account_id for one, item in stopped_currencies(accounts).items()
    } == {
        "EUR": "ba_1",
        "USD": "ba_2",
    }
    assert destinations(accounts, "CHF") == accounts[3:]


async def test_a_snapshot_tells_each_account_and_what_is_wanted_for_it(guard: Guard) -> None:
    name = unique("acct").replace("-", "_")
    requirements = Requirements()
    requirements.current_deadline_time.FromDatetime(START + timedelta(days=3))
    guard.merchants.add(
        name,
        requirements=requirements,
        external_accounts=[
            merchant_pb2.ExternalAccount(
                id="ba_1",
                kind="bank_account",
                currency_code="EUR",
                state=merchant_pb2.EXTERNAL_ACCOUNT_STATE_NEW,
                default_for_currency=True,
                requirements=Requirements(currently_due=["documents"]),
                future_requirements=Requirements(currently_due=["ba_1.more"]),
            ),
            merchant_pb2.ExternalAccount(
                id="card_1",
                kind="card",
                currency_code="USD",
                state=merchant_pb2.EXTERNAL_ACCOUNT_STATE_ERRORED,
                default_for_currency=True,
            ),
        ],
    )
    merchant = await guard.merchant(account=name)
    shown = (
        await guard.requirements.RefreshAccountSnapshot(
            pb.RefreshAccountSnapshotRequest(merchant_id=merchant)
        )
    ).snapshot
    bank, card = shown.external_accounts
    assert (bank.external_account_id, bank.stripe_state) == ("ba_1", "new")
    assert (bank.currency_code, bank.default_for_currency, bank.stops_payouts) == (
        "EUR",
        True,
        False,
    )
    assert (card.kind, card.stripe_state, card.stops_payouts) == ("card", "errored", True)
    due, later = shown.requirements
    assert (due.field, due.deadline_time.ToDatetime(START.tzinfo)) == (
        "ba_1.documents",
        START + timedelta(days=3),
    )
    assert due.guidance.words == "The bank account that payouts go to."
    assert (later.field, later.HasField("deadline_time")) == ("ba_1.more", False)


def shown(*accounts: tuple[str, str, str]) -> tuple[ExternalAccount, ...]:
    return tuple(
        ExternalAccount(name, "bank_account", currency, state, is_default=True)
        for name, currency, state in accounts
    )


async def test_a_currency_whose_payouts_stop_is_in_the_record_and_told(guard: Guard) -> None:
    async with at_a_desk(guard) as desk:
        merchant = await guard.merchant(account="acct_9")
        euros, dollars = ("ba_1", "EUR", NEW), ("ba_2", "USD", NEW)
        await desk.shows("acct_9", replace(GOOD, external_accounts=shown(euros, dollars)))
        await desk.look()

        async def stopped() -> list[str]:
            answer = await guard.freezes.GetFreezeForecast(
                freeze_forecast_service_pb2.GetFreezeForecastRequest(merchant_id=merchant)
            )
            return [item.external_account_id for item in answer.stopped_destinations]

        assert await stopped() == []
        guard.clock.advance(timedelta(days=1))
        errored = ("ba_1", "EUR", ERRORED)
        await desk.shows("acct_9", replace(GOOD, external_accounts=shown(errored, dollars)))
        await desk.look()
        assert await stopped() == ["ba_1"]
        figures = await desk.figures()
        assert (figures.freeze_count, figures.unforeseeable_count) == (1, 1)
        # It is one stop for as long as it lasts, and another of another currency.
        guard.clock.advance(timedelta(days=1))
        both = (errored, ("ba_2", "USD", "DEACTIVATED"))
        await desk.shows("acct_9", replace(GOOD, external_accounts=shown(*both)))
        await desk.look()
        assert await stopped() == ["ba_1", "ba_2"]
        guard.clock.advance(timedelta(days=1))
        await desk.shows("acct_9", replace(GOOD, external_accounts=shown(euros, both[1])))
        await desk.look()
        assert (await desk.figures()).freeze_count == 2
        with psycopg.connect(guard.database_url) as connection:
            reasons = connection.execute(
                "SELECT kind, disabled_reason FROM account_freeze ORDER BY stop_time"
            ).fetchall()
        assert reasons == [
            ("PAYOUTS", "external_account.errored"),
            ("PAYOUTS", "external_account.deactivated"),
        ]
