"""Judges a candidate over decisions, in a process of its own (decision_feed.py): a hundred thousand
of them take most of a minute of one core."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

from gateway.routing.attribution import Cause
from gateway.routing.codec import load
from gateway.routing.decision import Decision, Method, Score, decide
from gateway.routing.evaluation import EvaluationSettings, evaluate
from gateway.routing.evaluation_interval import MIN_CUSTOMERS
from gateway.routing.evaluation_log import (
    EvaluationError,
    LoggedDecision,
    logged_decision,
)
from gateway.routing.evaluation_verdict import Reason, judge
from gateway.routing.retry_beliefs import SPACE_HASH as TIMES_HASH
from gateway.routing.retry_beliefs import DeclineKind
from gateway.routing.retry_times import RetryTime, buckets_of_name, decide_time
from gateway.routing.state import RoutingState, StateError, hash_of
from gateway.routing_service.record import (
    decision_of,
    features_hash,
    propensity_of,
    rank_of,
    slots_in,
)
from gateway.routing_service.steps import Subject
from gateway.routing_service.terms import SPACE, RoutingTerms

# Behind whatever serves calls on the same machine.
NICENESS = 10
START = "from gateway.routing_service.evaluator import serve; serve()"
OTHER_FEATURES = "OTHER_FEATURES"
END = b"\n"
COLUMNS = (
    *(
        "payment_id",
        "customer",
        "merchant_id",
        "corridor",
        "share",
        "action",
        "seed",
        "scores",
        "slots",
    ),
    *("features_hash", "region", "network", "amount_minor", "cause", "time_s"),
    *("method", "action_method"),
)
"""What a decision's line is an array of."""


Shares = Callable[[Any, Decision], Sequence[float]]
"""How likely a candidate was to choose each option, of a decision's row."""


class Candidate(StrEnum):
    """What is judged."""

    MODEL = "MODEL"
    RECORDED = "RECORDED"
    ORDER = "ORDER"


@dataclass(frozen=True, slots=True)
class Asked:
    """The candidate, and how it is judged."""

    candidate: Candidate
    looks: int
    terms: str
    """As JSON."""
    model: str = ""
    """As `dump` has it."""
    subject: Subject = Subject.CORRIDOR

    def to_line(self) -> bytes:
        """As it is sent."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Asked":
        """What `to_line` made."""
        values = json.loads(line)
        kinds = {
            "candidate": Candidate(values["candidate"]),
            "subject": Subject(values["subject"]),
        }
        return cls(**{**values, **kinds})


def serve() -> None:
    """The process's side; it ends when it has answered, or when nobody listens."""
    os.nice(NICENESS)
    sys.stdout.buffer.write(json.dumps(answer_to(sys.stdin.buffer)).encode() + b"\n")
    sys.stdout.buffer.flush()


def answer_to(lines: Iterable[bytes]) -> dict[str, Any]:
    """The judgement of what is asked: the evaluation, if there can be one, and the refusals.

    Raises ValueError, EvaluationError among them, for decisions that cannot be.
    """
    asking = iter(lines)
    asked = Asked.from_line(next(asking))
    shares: Shares
    trained_until_s: float | None = None
    if asked.candidate is Candidate.MODEL:
        try:
            model = load(asked.model.encode(), SPACE)
        except StateError as error:
            # It answers whoever has said all that he has to say.
            for line in asking:
                if line == END:
                    break
            return _without(OTHER_FEATURES, f"The model cannot be read by this release: {error}.")
        terms = RoutingTerms.model_validate_json(asked.terms)
        of_times = asked.subject is Subject.RETRY_TIME
        shares = _times_of(model, terms) if of_times else _OfModel(model, terms)
        trained_until_s = model.time_s
    else:
        shares = _of_record if asked.candidate is Candidate.RECORDED else _of_order
    log = _Log(shares, asked.subject)
    try:
        evaluation = evaluate(log.decisions(asking), EvaluationSettings(looks=asked.looks))
    except EvaluationError:
        if len(log.customers) >= MIN_CUSTOMERS:
            raise
        return _without(
            Reason.THIN_SUPPORT,
            f"{log.count} decisions of {len(log.customers)} customers say nothing of a candidate.",
            other_features=log.other_features,
        )
    verdict = judge(evaluation, trained_until_s=trained_until_s)
    return {
        "refusals": [[each.reason.value, each.sentence] for each in verdict.refusals],
        "other_features": log.other_features,
        "evaluation": {**asdict(evaluation), "confidence": evaluation.settings.confidence_each},
        "detectable_gain": verdict.detectable_gain,
        "decisions_needed": verdict.decisions_needed,
        "power_sentence": verdict.power_sentence,
    }


def _without(reason: str, sentence: str, *, other_features: int = 0) -> dict[str, Any]:
    return {
        "refusals": [[reason, sentence]],
        "other_features": other_features,
        "evaluation": None,
        "detectable_gain": 0.0,
        "decisions_needed": None,
        "power_sentence": "",
    }


def _of_order(_row: Any, decision: Decision) -> Sequence[float]:
    """The operators' order: always its first."""
    return [1.0, *[0.0] * (len(decision.scores) - 1)]


def _of_record(_row: Any, decision: Decision) -> Sequence[float]:
    """Routing as it decided then, written down before each outcome."""
    return [score.propensity for score in decision.scores]


def _times_of(model: RoutingState, terms: RoutingTerms) -> Shares:
    """The times that a model would choose, as it is."""

    def shares(row: Any, decision: Decision) -> Sequence[float]:
        # Of a time its day and hours alone count.
        at, kind = datetime.fromtimestamp(row.time_s, UTC), DeclineKind(row.network)
        times = [
            RetryTime(at, buckets_of_name(score.corridor, row.region, kind))
            for score in decision.scores
        ]
        again = decide_time(model.retries, terms.exploration, times, seed=row.seed)
        return [score.propensity for score in again.scores]

    return shares


def read_rows(lines: Iterator[bytes]) -> Iterator[Any]:
    """The decisions of lines, up to the empty one; each has the names of COLUMNS.

    Raises ValueError if there is none.
    """
    for line in lines:
        if line == END:
            return
        yield SimpleNamespace(**dict(zip(COLUMNS, json.loads(line), strict=True)))
    raise ValueError("the decisions break off")


class _OfModel:
    """A model as it is, which neither learns nor forgets what it has learnt of approval."""

    def __init__(self, model: RoutingState, terms: RoutingTerms) -> None:
        self._model = model
        self._terms = terms
        self._policy = terms.policy_of("")
        self._policies = {name: terms.policy_of(name) for name in terms.merchants}

    def __call__(self, row: Any, decision: Decision) -> Sequence[float]:
        context = replace(
            SPACE.context_in(decision.slots, row.amount_minor),
            region=row.region,
            network=row.network,
        )
        methods = [
            # The past of each payment method is in its slots.
            Method(score.method, SPACE.context_in(slots_in(each), row.amount_minor))
            for score, each in zip(decision.scores, row.slots.get("each", ()), strict=False)
        ]
        again = decide(
            self._policies.get(row.merchant_id, self._policy),
            self._model,
            context,
            [score.corridor for score in decision.scores],
            seed=row.seed,
            # Before it was made nothing is known of its corridors' health.
            now_s=max(row.time_s, self._model.time_s),
            # What foresight expected then is no part of the model.
            discounts={score.corridor: score.discount for score in decision.scores},
            methods=methods,
        )
        return [score.propensity for score in again.scores]


class _Log:
    """The decisions that can be judged by."""

    def __init__(self, shares: Shares, subject: Subject) -> None:
        self._shares = shares
        self._of_times = of_times = subject is Subject.RETRY_TIME
        self._space_hash = TIMES_HASH if of_times else hash_of(SPACE)
        self.other_features = 0
        self.count = 0
        self.customers: set[str] = set()

    def decisions(self, lines: Iterator[bytes]) -> Iterator[LoggedDecision]:
        """Those of the lines, up to the empty one."""
        for row in read_rows(lines):
            if features_hash(self._space_hash, row.slots) != row.features_hash:
                self.other_features += 1
                continue
            self.count += 1
            self.customers.add(row.customer)
            yield self._logged(row)

    def _logged(self, row: Any) -> LoggedDecision:
        decided, done = decision_of(row), rank_of(row)
        shares = self._shares(row, decided)
        names = [self._name(place, score) for place, score in enumerate(decided.scores)]
        scores = tuple(
            [
                score._replace(
                    corridor=name,
                    # Of both arms together: that is what was drawn from.
                    propensity=propensity_of(decided, place, row.share),
                    value=score.approval * (1.0 - score.technical_failure),
                )
                for place, (name, score) in enumerate(zip(names, decided.scores, strict=True))
            ]
        )
        return logged_decision(
            Decision(
                corridor=names[done],
                propensity=scores[done].propensity,
                seed=row.seed,
                scores=scores,
                slots=decided.slots,
                rank=done,
            ),
            dict(zip(names, shares, strict=True)),
            customer=row.customer,
            reward=float(row.cause == Cause.APPROVED),
            time_s=row.time_s,
        )

    def _name(self, place: int, score: Score) -> str:
        """What an option is to the log. Times are told apart by how much later they are than the
        earliest: there are as many days and hours as no log has."""
        if self._of_times:
            return f"time {place:02}"
        return f"{score.corridor} {score.method}" if score.method else score.corridor
