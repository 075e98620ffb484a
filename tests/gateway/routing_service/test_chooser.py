"""Who decides when routing cannot: no model, a stale one, too slow, what cannot be read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.payments.domain.history import PaymentHistory
from gateway.payments.domain.payment import Decline, DeclineRetry, Payment
from gateway.payments.domain.payment_methods import PaymentMethodType
from gateway.payments.domain.retry_policy import RetryWindow
from gateway.payments.domain.routing import charge_of, come_home, may_be_routed, routed
from gateway.payments.store.history import PastPayments
from gateway.routing_service.board import STALE_AFTER, Known, ModelBoard
from gateway.routing_service.chooser import (
    BUDGET_SECONDS,
    MIN_TIMED,
    REST_SECONDS,
    Budget,
    Chooser,
)
from gateway.routing_service.steps import Arm, Mode, Step, Subject, arm_of, seed_of
from gateway.routing_service.terms import RoutingTerms
from gateway.stripe_client.failover import Elsewhere, Route, Terms
from runtime.clock import ManualClock
from tests.gateway.payments.test_states import new_payment
from tests.gateway.routing_service.beliefs import FEW_LESSONS, leaning

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
TERMS = {
    "default": Terms("default", failover_to=("backup",), shares_tokens_with=frozenset({"backup"})),
    "backup": Terms("backup"),
}
BOTH = Elsewhere(TERMS, lambda _: True)
PAYMENT = new_payment()
NOTHING = PaymentHistory()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def nowhere() -> AsyncEngine:
    """A database that nobody answers for."""
    return create_async_engine("postgresql+psycopg://127.0.0.1:1/none")


@pytest.fixture
def past(nowhere: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> PastPayments:
    """Nothing came before any payment."""
    past = PastPayments(nowhere)

    async def of(_payment: Payment, _now: datetime) -> PaymentHistory:
        return NOTHING

    monkeypatch.setattr(past, "of", of)
    return past


def board_of(engine: AsyncEngine, clock: ManualClock, *, step: Step = Step.FULL) -> ModelBoard:
    board = ModelBoard(engine, clock)
    board.known = Known("f" * 64, leaning("backup", "default", NOW), NOW)
    board.steps = dict.fromkeys(Subject, step)
    return board


def chooser_of(
    past: PastPayments, clock: ManualClock, board: ModelBoard, budget: Budget | None = None
) -> Chooser:
    return Chooser(past, board, Mode.STAGED, RoutingTerms(), clock, budget)


def fell_back(reason: str, choice: str = "FIRST") -> float:
    labels = {"choice": choice, "reason": reason}
    return REGISTRY.get_sample_value("gateway_routing_fall_backs_total", labels) or 0.0


def decided(choice: str) -> float:
    """Decisions that were counted, of both arms."""
    found = [
        REGISTRY.get_sample_value(
            "gateway_routing_decisions_total", {"choice": choice, "arm": arm.value}
        )
        for arm in Arm
    ]
    return sum(count or 0.0 for count in found)


async def test_rules_decide_without_a_model_or_with_a_stale_one(
    nowhere: AsyncEngine, past: PastPayments, clock: ManualClock
) -> None:
    board = board_of(nowhere, clock)
    chooser = chooser_of(past, clock, board)
    assert await chooser.choose(PAYMENT, BOTH) is not None
    clock.advance(STALE_AFTER + timedelta(seconds=1))
    before = fell_back("STALE")
    assert await chooser.choose(PAYMENT, BOTH) is None
    assert fell_back("STALE") == before + 1
    board.known = None
    before = fell_back("NO_MODEL")
    assert await chooser.choose(PAYMENT, BOTH) is None
    assert fell_back("NO_MODEL") == before + 1


async def test_rules_decide_when_what_came_before_cannot_be_read(
    nowhere: AsyncEngine, clock: ManualClock
) -> None:
    chooser = chooser_of(PastPayments(nowhere), clock, board_of(nowhere, clock))
    before = fell_back("NOT_READ")
    assert await chooser.choose(new_payment(), BOTH) is None
    assert fell_back("NOT_READ") == before + 1


def timed(seconds: list[float]) -> Any:
    """A timer of which each decision takes the next of these times."""
    ticks = iter([tick for each in seconds for tick in (0.0, each)])
    return lambda: next(ticks)


@pytest.mark.parametrize(("late", "spent"), [(2, False), (3, True)])
def test_the_budget_is_of_one_decision_in_a_hundred(late: int, spent: bool) -> None:
    now = [0.0]
    quick = MIN_TIMED - late + 1
    budget = Budget(
        timed([BUDGET_SECONDS] * quick + [BUDGET_SECONDS * 1.01] * late), lambda: now[0]
    )
    for _ in range(quick + late):
        assert not budget.is_spent
        with budget.measured():
            pass
    assert budget.is_spent is spent
    now[0] = REST_SECONDS
    assert not budget.is_spent


async def test_rules_decide_while_decisions_take_too_long(
    nowhere: AsyncEngine, past: PastPayments, clock: ManualClock
) -> None:
    budget = Budget(timed([1.0] * MIN_TIMED), lambda: 0.0)
    chooser = chooser_of(past, clock, board_of(nowhere, clock), budget)
    before = fell_back("SLOW")
    for number in range(MIN_TIMED):
        assert await chooser.choose(new_payment(id=f"pay_{number}"), BOTH)
    assert await chooser.choose(PAYMENT, BOTH) is None
    assert fell_back("SLOW") == before + 1


async def test_there_is_no_choice_with_one_corridor(
    nowhere: AsyncEngine, past: PastPayments, clock: ManualClock
) -> None:
    chooser = chooser_of(past, clock, board_of(nowhere, clock))
    for closed in TERMS:
        elsewhere = Elsewhere(TERMS, lambda name, closed=closed: name != closed)  # type: ignore[misc]
        assert await chooser.choose(PAYMENT, elsewhere) is None
    alone = Elsewhere({"default": Terms("default")}, lambda _: True)
    assert await chooser.choose(PAYMENT, alone) is None


async def test_calls_that_hang_count_against_their_corridor_and_no_longer_than_they_do(
    nowhere: AsyncEngine, past: PastPayments, clock: ManualClock
) -> None:
    chooser = chooser_of(past, clock, board_of(nowhere, clock))

    async def suspicion() -> float:
        choice = await chooser.choose(PAYMENT, BOTH)
        assert choice is not None
        (backup,) = [s for s in choice.record["scores"] if s["corridor"] == "backup"]
        return float(backup["incident"])

    before = await suspicion()
    away = new_payment(corridor="backup")
    with chooser.under_way(away), chooser.under_way(new_payment(id="pay_2", corridor="backup")):
        assert await suspicion() == before
        clock.advance(timedelta(seconds=60))
        hung = await suspicion()
        assert hung > 10 * before
    # What has ended is left to what came of it.
    assert await suspicion() < hung / 2


async def test_what_foresight_takes_off_is_asked_for_each_payment_and_written_down(
    nowhere: AsyncEngine, past: PastPayments, clock: ManualClock
) -> None:
    held = {"backup": 0.0}
    board = board_of(nowhere, clock)
    board.known = Known("f" * 64, leaning("backup", "default", NOW, FEW_LESSONS), NOW)
    chooser = Chooser(
        past,
        board,
        Mode.STAGED,
        RoutingTerms(max_share=0.0),
        clock,
        discount=lambda name: held.get(name, 0.0),
    )

    async def chosen() -> tuple[str, dict[str, float]]:
        choice = await chooser.choose(PAYMENT, BOTH)
        assert choice is not None
        scores = choice.record["scores"]
        return choice.record["action"], {s["corridor"]: s["discount"] for s in scores}

    assert await chosen() == ("backup", {"default": 0.0, "backup": 0.0})
    held["backup"] = 0.9
    assert await chosen() == ("default", {"default": 0.0, "backup": 0.9})
    held["backup"] = 0.0
    assert await chosen() == ("backup", {"default": 0.0, "backup": 0.0})


@pytest.mark.parametrize(
    ("values", "may"),
    [
        ({}, True),
        ({"stays": True}, False),
        ({"save_payment_method": True}, False),
        ({"payment_method_type": PaymentMethodType.SEPA_DEBIT}, False),
    ],
)
def test_what_may_be_routed(values: dict[str, Any], may: bool) -> None:
    assert may_be_routed(new_payment(**values)) is may


def test_a_routed_payment_keeps_its_home() -> None:
    payment: Payment = new_payment(destination_account="acct_1")
    assert routed(payment, payment.home) is payment
    there = Route("backup", "pm_2", "cus_2", "acct_2")
    moved = routed(payment, there)
    assert moved.home == payment.home
    assert (
        Route(
            moved.corridor,
            moved.payment_method,
            moved.payment_method_customer,
            moved.destination_account,
        )
        == there
    )
    back = come_home(moved, NOW)
    assert (back.corridor, back.payment_method) == (payment.corridor, payment.payment_method)
    assert [(left.corridor, left.reason) for left in back.left_corridors] == [
        ("backup", "QUEUE_AHEAD")
    ]


THREE = {
    "default": Terms(
        "default",
        failover_to=("backup", "third"),
        shares_tokens_with=frozenset({"backup", "third"}),
    ),
    "backup": Terms("backup"),
    "third": Terms("third"),
}
AWAY_FROM_HOME = Elsewhere(THREE, lambda name: name != "default")


async def test_where_a_payment_goes_on_is_another_choice_with_its_own_draw(
    nowhere: AsyncEngine, past: PastPayments, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came before was read when it was new, also where it had no choice then."""
    chooser = chooser_of(past, clock, board_of(nowhere, clock))
    assert await chooser.choose(PAYMENT, AWAY_FROM_HOME) is None
    monkeypatch.setattr(past, "kept", lambda _payment: NOTHING)
    choices = []
    counted = decided("FAILOVER")
    for number in range(40):
        payment = new_payment(id=f"pay_{number}")
        choice = chooser.choose_next(payment, AWAY_FROM_HOME, ["default"], NOW)
        assert choice == chooser.choose_next(payment, AWAY_FROM_HOME, ["default"], NOW)
        assert choice is not None
        record = choice.record
        assert (record["payment_id"], record["hop"]) == (payment.id, 1)
        assert choice.route.corridor == record["corridor"]
        assert {score["corridor"] for score in record["scores"]} == {"backup", "third"}
        # The operators' order draws among equals by the payment.
        rules = AWAY_FROM_HOME.next_route(charge_of(payment), ["default"])
        assert rules is not None
        assert record["scores"][0]["corridor"] == rules.corridor
        draw = f"{payment.id} 1"
        assert (record["seed"], record["arm"]) == (seed_of(draw), arm_of(draw, record["share"]))
        choices.append(record["corridor"])
    # `backup` is known to be good, of `third` nothing is known.
    assert choices.count("backup") > choices.count("third")
    # It is counted when it is written, which may be after it was decided once more.
    assert decided("FAILOVER") == counted
    chooser.written(record)
    assert decided("FAILOVER") == counted + 1


async def test_where_routing_cannot_say_the_rules_say_where_a_payment_goes_on(
    nowhere: AsyncEngine, past: PastPayments, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = board_of(nowhere, clock)
    chooser = chooser_of(past, clock, board)

    def chosen(elsewhere: Elsewhere = AWAY_FROM_HOME, tried: tuple[str, ...] = ("default",)) -> Any:
        return chooser.choose_next(PAYMENT, elsewhere, tried, NOW)

    # Its past is not known here: another process made it.
    before = fell_back("NOT_READ", "FAILOVER")
    assert chosen() is None
    assert fell_back("NOT_READ", "FAILOVER") == before + 1
    monkeypatch.setattr(past, "kept", lambda _payment: NOTHING)
    assert chosen() is not None
    # One corridor is no choice.
    assert chosen(tried=("default", "third")) is None
    assert chosen(Elsewhere(THREE, lambda name: name == "third")) is None
    clock.advance(STALE_AFTER + timedelta(seconds=1))
    before = fell_back("STALE", "FAILOVER")
    assert chosen() is None
    assert fell_back("STALE", "FAILOVER") == before + 1
    board.known = None
    before = fell_back("NO_MODEL", "FAILOVER")
    assert chosen() is None
    assert fell_back("NO_MODEL", "FAILOVER") == before + 1


DECLINED = new_payment(
    off_session=True,
    decline_retry=DeclineRetry(3, timedelta(days=14)),
    decline=Decline("card_declined", "insufficient_funds"),
    decline_count=1,
)
WINDOW = RetryWindow(NOW + timedelta(days=1), NOW + timedelta(days=4))


async def test_when_a_declined_payment_is_tried_again_is_another_choice(
    nowhere: AsyncEngine, past: PastPayments, clock: ManualClock
) -> None:
    board = board_of(nowhere, clock)
    chooser = chooser_of(past, clock, board)
    choice = chooser.choose_retry_time(DECLINED, WINDOW, NOW)
    assert choice is not None
    assert choice == chooser.choose_retry_time(DECLINED, WINDOW, NOW)
    record = choice.record
    assert (record["payment_id"], record["attempt"]) == (DECLINED.id, 1)
    assert WINDOW.earliest <= choice.time == record["retry_time"] <= WINDOW.latest
    draw = f"{DECLINED.id} retry 1"
    assert (record["seed"], record["arm"]) == (seed_of(draw), arm_of(draw, record["share"]))
    # Less than four hours are no choice.
    narrow = RetryWindow(WINDOW.earliest, WINDOW.earliest)
    assert chooser.choose_retry_time(DECLINED, narrow, NOW) is None
    terms = RoutingTerms.model_validate({"merchants": {DECLINED.merchant_id: {"off": True}}})
    off = Chooser(past, board, Mode.STAGED, terms, clock)
    assert off.choose_retry_time(DECLINED, WINDOW, NOW) is None
    before = fell_back("NO_MODEL", "RETRY_TIME")
    board.known = None
    assert chooser.choose_retry_time(DECLINED, WINDOW, NOW) is None
    assert fell_back("NO_MODEL", "RETRY_TIME") == before + 1
