"""Trains a model on the decisions of a window, in a process of its own (decision_feed.py)."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from gateway.routing.attribution import Cause
from gateway.routing.decision import Policy
from gateway.routing.features import Slots
from gateway.routing.state import hash_of
from gateway.routing.training import Example, TrainingRefusedError, Window, train
from gateway.routing_service.evaluator import NICENESS, read_rows
from gateway.routing_service.record import (
    decision_of,
    features_hash,
    propensity_of,
    rank_of,
)
from gateway.routing_service.terms import SPACE

START = "from gateway.routing_service.trainer import serve; serve()"
APPROVED = {Cause.APPROVED: True, Cause.ISSUER: False}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be trained; times in seconds since the epoch."""

    start_s: float
    end_s: float
    corridors: tuple[str, ...]
    """Those that routing chooses among now."""
    code_version: str

    def to_line(self) -> bytes:
        """As it is sent."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Asked":
        """What `to_line` made."""
        values = json.loads(line)
        return cls(**{**values, "corridors": tuple(values["corridors"])})


def serve() -> None:
    """The process's side; it ends when it has answered, or when nobody listens."""
    os.nice(NICENESS)
    sys.stdout.buffer.write(json.dumps(answer_to(sys.stdin.buffer)).encode() + b"\n")
    sys.stdout.buffer.flush()


def answer_to(lines: Iterable[bytes]) -> dict[str, Any]:
    """The model of what is asked, or why there is none: `model` are its bytes as text, `problem`
    and `sentence` a refusal.

    Raises ValueError for decisions that break off.
    """
    asking = iter(lines)
    asked = Asked.from_line(next(asking))
    examples = list(_examples(asking))
    window = Window(asked.start_s, asked.end_s)
    try:
        trained = train(examples, window, asked.corridors, asked.code_version, Policy(space=SPACE))
    except TrainingRefusedError as error:
        return {"model": "", "problem": error.problem.value, "sentence": str(error)}
    return {"model": trained.raw.decode(), "learned": trained.state.learned}


def _examples(lines: Iterator[bytes]) -> Iterator[Example]:
    """Of the decisions by the features of this release, up to the empty line."""
    space_hash = hash_of(SPACE)
    for row in read_rows(lines):
        if features_hash(space_hash, row.slots) == row.features_hash:
            yield example_of(row)


def example_of(row: Any) -> Example:
    """What there is to learn of a decision's row."""
    decision, place = decision_of(row), rank_of(row)
    chosen = decision.scores[place]
    return Example(
        name=row.payment_id,
        time_s=row.time_s,
        corridor=chosen.corridor,
        rank=place,
        candidates=tuple([score.corridor for score in decision.scores]),
        slots=Slots(tuple(row.slots["own"]), tuple(row.slots["common"])),
        propensity=propensity_of(decision, place, row.share),
        incident=chosen.incident,
        believed=chosen.approval,
        approved=APPROVED.get(Cause(row.cause)),
    )
