"""Chooses where a new payment is charged first, in this process: among the corridors that it may
use, by the newest model, or by the operators' order when the model cannot say.

It decides about a new payment before it is written: what was sent stays where it was sent until it
is known. What certainly was not sent goes on by the rules of failover; where these leave a choice
among corridors that were not tried, that is another decision.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from gateway.payments.domain.history import PaymentHistory
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.retry_policy import RetryWindow
from gateway.payments.domain.routing import Choice, RetryChoice, charge_of, may_be_routed
from gateway.payments.store.history import PastPayments
from gateway.routing.decision import MAX_CANDIDATES, Method, decide
from gateway.routing.features import Context
from gateway.routing.health import InFlight
from gateway.routing.retry_times import decide_time
from gateway.routing_service import telemetry
from gateway.routing_service.board import Known, ModelBoard
from gateway.routing_service.context import context_of, scope_of
from gateway.routing_service.record import Circumstances, row_of
from gateway.routing_service.retries import draw_of, retry_row, times_of
from gateway.routing_service.steps import Arm, Mode, Subject, arm_of, seed_of, share_of
from gateway.routing_service.telemetry import Chosen, FallBack
from gateway.routing_service.terms import RoutingTerms
from gateway.stripe_client.failover import Candidate, Elsewhere, Route
from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.loops import is_unavailable

# What came before a payment is read within so long, or not at all.
READ_SECONDS = 0.25
# A decision may take so much of the processor, but for one of a hundred.
BUDGET_SECONDS = 0.001
BUDGET_WINDOW = 512
MIN_TIMED = 200
# After decisions took too long none are made for so long.
REST_SECONDS = 60.0
MAX_IN_FLIGHT_KNOWN = 10_000

log = get_logger(__name__)


class Budget:
    """Measures decisions, and stops them for a while when they take too long."""

    def __init__(
        self,
        timer: Callable[[], float] = time.thread_time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timer = timer
        self._monotonic = monotonic
        self._seconds: deque[float] = deque(maxlen=BUDGET_WINDOW)
        self._rests_until: float | None = None

    @property
    def is_spent(self) -> bool:
        """Whether none are made now."""
        return self._rests_until is not None and self._monotonic() < self._rests_until

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Covers one decision."""
        begun = self._timer()
        yield
        seconds = self._timer() - begun
        telemetry.DECISION_SECONDS.observe(seconds)
        self._seconds.append(seconds)
        if seconds <= BUDGET_SECONDS or len(self._seconds) < MIN_TIMED:
            return
        # Only one that was late itself can have moved the quantile over the budget.
        late = sum(1 for each in self._seconds if each > BUDGET_SECONDS)
        if late > len(self._seconds) // 100:
            log.warning("routing_too_slow", late=late, of=len(self._seconds), rest=REST_SECONDS)
            self._seconds.clear()
            self._rests_until = self._monotonic() + REST_SECONDS


def undiscounted(_corridor: str) -> float:
    """What is taken off a corridor where nothing is foreseen."""
    return 0.0


class Chooser:
    """A `Router` of payments. `discount` is what foresight takes off a corridor now."""

    def __init__(
        self,
        past: PastPayments,
        board: ModelBoard,
        mode: Mode,
        terms: RoutingTerms,
        clock: Clock,
        budget: Budget | None = None,
        discount: Callable[[str], float] = undiscounted,
    ) -> None:
        assert mode is not Mode.OFF, "nobody chooses then"
        self._past = past
        self._board = board
        self._mode = mode
        self._terms = terms
        self._digest = terms.digest
        self._policy = terms.policy_of("")
        self._policies = {name: terms.policy_of(name) for name in terms.merchants}
        self._clock = clock
        self._budget = budget or Budget()
        self._discount = discount
        self._in_flight: dict[str, dict[str, InFlight]] = {}

    async def choose(self, payment: Payment, elsewhere: Elsewhere) -> Choice | None:
        """What routing says of a new payment, and the record of it; None if it has no choice, or
        if the operators' order decides because routing cannot."""
        if not may_be_routed(payment) or self._terms.is_off_for(payment.merchant_id):
            return None
        candidates = elsewhere.candidates(charge_of(payment), MAX_CANDIDATES)
        usable = [each for each in candidates if each.route is not None]
        if len(usable) < 2:
            return None
        known, problem = self._board.known, self._problem()
        now = self._clock.now()
        contexts: Mapping[str, Context] | None = None
        if problem is None:
            contexts = await self._contexts(payment, usable, now)
            problem = FallBack.NOT_READ if contexts is None else None
        if problem is not None:
            telemetry.tell_fall_back(Chosen.FIRST, problem)
            return None
        if usable[0].corridor != payment.corridor:
            # Its own corridor cannot be used: it fails over, which is another choice.
            return None
        assert known is not None, "a board without one has a problem"
        assert contexts is not None, "what was not read is a problem"
        methods: list[Method] = []
        if any(each.method for each in usable):
            methods = [
                Method(each.method, _context_with(each, payment, contexts)) for each in usable
            ]
        context = contexts[payment.payment_method]
        record = self._decide(payment, candidates, known, context, now, payment.id, methods)
        telemetry.tell_decision(Chosen.FIRST, record["arm"], explored=record["explored"])
        chosen, *others = _by_worth(usable, record)
        follows = methods and record["arm"] == Arm.ROUTED
        return Choice(chosen, record, order=(chosen, *others) if follows else ())

    def choose_next(
        self, payment: Payment, elsewhere: Elsewhere, tried: Sequence[str], now: datetime
    ) -> Choice | None:
        """What routing says of where a payment goes on that was not charged, and the record of it;
        None if it has no choice, or cannot say. What came before the payment was read when it was
        new: nothing is read here."""
        if self._terms.is_off_for(payment.merchant_id):
            return None
        candidates = elsewhere.others(charge_of(payment), tried, MAX_CANDIDATES)
        usable = {each.corridor: each.route for each in candidates if each.route is not None}
        if len(usable) < 2:
            return None
        known, history = self._board.known, self._past.kept(payment)
        problem = self._problem()
        if problem is None and history is None:
            problem = FallBack.NOT_READ
        if problem is not None:
            telemetry.tell_fall_back(Chosen.FAILOVER, problem)
            return None
        assert known is not None, "a board without one has a problem"
        assert history is not None, "what was not read is a problem"
        hop = len(payment.left_corridors) + 1
        context = context_of(payment, history, now)
        draw = f"{payment.id} {hop}"
        record = {**self._decide(payment, candidates, known, context, now, draw), "hop": hop}
        return Choice(usable[record["corridor"]], record)

    def choose_retry_time(
        self, payment: Payment, window: RetryWindow, now: datetime
    ) -> RetryChoice | None:
        """When a payment that was just declined is tried again, and the record of it; None if it
        has no choice, or if the rules decide because routing cannot."""
        if self._terms.is_off_for(payment.merchant_id):
            return None
        times = times_of(payment, window, now)
        if len(times) < 2:
            return None
        known, problem = self._board.known, self._board.problem()
        if problem is not None:
            telemetry.tell_fall_back(Chosen.RETRY_TIME, problem)
            return None
        assert known is not None, "a board without one has a problem"
        draw = draw_of(payment)
        share = share_of(self._mode, self._board.steps[Subject.RETRY_TIME])
        arm = arm_of(draw, share)
        decision = decide_time(
            known.state.retries, self._policy.exploration, times, seed=seed_of(draw)
        )
        record = retry_row(payment, decision, arm, times, window, self._given(known, share, now))
        return RetryChoice(record["retry_time"], record)

    @staticmethod
    def written(record: Mapping[str, Any]) -> None:
        """Counts a choice after the first, now that it is written."""
        choice = Chosen.FAILOVER if "hop" in record else Chosen.RETRY_TIME
        telemetry.tell_decision(choice, record["arm"], explored=record["explored"])

    @contextmanager
    def under_way(self, payment: Payment) -> Iterator[None]:
        """Has a call that hangs count against its corridor while it does."""
        calls = self._in_flight.setdefault(payment.corridor, {})
        if len(calls) < MAX_IN_FLIGHT_KNOWN:
            region, network = scope_of(payment, self._past.kept(payment))
            now_s = self._clock.now().timestamp()
            calls[payment.id] = InFlight(payment.corridor, region, network, now_s)
        try:
            yield
        finally:
            calls.pop(payment.id, None)

    def _problem(self) -> FallBack | None:
        """Why nothing can be decided now; None if it can."""
        problem = self._board.problem()
        return FallBack.SLOW if problem is None and self._budget.is_spent else problem

    def _decide(
        self,
        payment: Payment,
        candidates: tuple[Candidate, ...],
        known: Known,
        context: Context,
        now: datetime,
        draw: str,
        methods: Sequence[Method] = (),
    ) -> Mapping[str, Any]:
        share = share_of(self._mode, self._board.steps[Subject.CORRIDOR])
        arm = arm_of(draw, share)
        names = [each.corridor for each in candidates if each.route is not None]
        with self._budget.measured():
            decision = decide(
                self._policies.get(payment.merchant_id, self._policy),
                known.state,
                context,
                names,
                seed=seed_of(draw),
                now_s=now.timestamp(),
                in_flight={name: list(calls.values()) for name, calls in self._in_flight.items()},
                discounts={name: self._discount(name) for name in names},
                methods=methods,
            )
        given = self._given(known, share, now)
        return row_of(
            payment.id, payment.merchant_id, decision, arm, context, candidates, given, methods
        )

    def _given(self, known: Known, share: float, now: datetime) -> Circumstances:
        return Circumstances(
            mode=self._mode,
            share=share,
            model_version=known.version,
            trained_version=known.trained_version,
            policy_hash=self._digest,
            space_hash=known.state.space_hash,
            decide_time=now,
        )

    async def _contexts(
        self, payment: Payment, usable: Sequence[Candidate], now: datetime
    ) -> Mapping[str, Context] | None:
        """What is known of the payment, by what is charged: what the client names first, and what
        it names beside that for a corridor. None if it could not be read in time."""
        more = [each.route.payment_method for each in usable if each.method and each.route]
        ways = [
            replace(payment, payment_method=token)
            for token in dict.fromkeys((payment.payment_method, *more))
        ]
        histories = await asyncio.gather(*(self._history(way, now) for way in ways))
        contexts = {
            way.payment_method: context_of(way, history, now)
            for way, history in zip(ways, histories, strict=True)
            if history is not None
        }
        return contexts if len(contexts) == len(ways) else None

    async def _history(self, payment: Payment, now: datetime) -> PaymentHistory | None:
        """What came before a payment; None if it could not be read in time."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await self._past.of(payment, now)
        except Exception as error:
            if not is_unavailable(error):
                raise
            return None


def _context_with(
    candidate: Candidate, payment: Payment, contexts: Mapping[str, Context]
) -> Context:
    """What is known of the payment with a candidate's payment method. The first of each corridor
    stands for the same card in another account."""
    token = payment.payment_method
    if candidate.method and candidate.route is not None:
        token = candidate.route.payment_method
    return contexts[token]


def _by_worth(usable: Sequence[Candidate], record: Mapping[str, Any]) -> list[Route]:
    """The ways to charge a payment: the one of its record, then the others, the best first."""
    chosen = (record["corridor"], record["method"])
    values = {(score["corridor"], score["method"]): score["value"] for score in record["scores"]}

    def place(candidate: Candidate) -> tuple[bool, float]:
        key = (candidate.corridor, candidate.method)
        return key != chosen, -values[key]

    return [each.route for each in sorted(usable, key=place) if each.route is not None]
