"""For how long each requirement has stood as it does, from one snapshot of an account to the next.

Pure. Stripe says what it wants and not since when, nor how long its reviews take; both are seen in
the changes of the snapshots, as exactly as they are fetched.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from compliance.accounts.requirements import CURRENTLY_DUE, PENDING_VERIFICATION, Requirement
from compliance.forecast.durations import Length


class Stage(StrEnum):
    """Whose turn it is with a requirement."""

    # Nobody's yet: needed in future, or at a volume that is not reached.
    LATER = "LATER"
    # The merchant's: due or past due.
    DUE = "DUE"
    # Stripe's: handed in and being verified.
    PENDING = "PENDING"


@dataclass(frozen=True)
class Span:
    """A requirement in one stage since then."""

    field: str
    stage: Stage
    since: datetime


@dataclass(frozen=True)
class EndedSpan:
    """A span that is over; `became` is None if the requirement is gone."""

    span: Span
    until: datetime
    became: Stage | None


def stage_of(requirement: Requirement) -> Stage:
    """The stage that a requirement is in."""
    if requirement.severity >= CURRENTLY_DUE:
        return Stage.DUE
    return Stage.PENDING if requirement.severity == PENDING_VERIFICATION else Stage.LATER


def advance(
    spans: Iterable[Span],
    requirements: Iterable[Requirement],
    seen: datetime,
    *,
    truncated: bool = False,
) -> tuple[tuple[Span, ...], tuple[EndedSpan, ...]]:
    """The spans that are open by these requirements, and those that they have ended.

    Of requirements that are `truncated`, what is not there is not over: it goes on as it was.
    """
    before = {span.field: span for span in spans}
    now = {requirement.field: stage_of(requirement) for requirement in requirements}
    if truncated:
        now = {**{field: span.stage for field, span in before.items()}, **now}
    ended = tuple(
        EndedSpan(span, seen, now.get(span.field))
        for span in before.values()
        if now.get(span.field) is not span.stage
    )
    open_spans = tuple(
        before[field]
        if field in before and before[field].stage is stage
        else Span(field, stage, seen)
        for field, stage in sorted(now.items())
    )
    return open_spans, ended


def review_lengths(
    ended: Iterable[EndedSpan], spans: Iterable[Span], as_of: datetime
) -> list[Length]:
    """How long Stripe took to verify, whatever came out of it, and has taken until now."""
    lengths = [Length(e.until - e.span.since, True) for e in ended if e.span.stage is Stage.PENDING]
    return lengths + _open(spans, Stage.PENDING, as_of)


def answer_lengths(
    ended: Iterable[EndedSpan], spans: Iterable[Span], as_of: datetime
) -> list[Length]:
    """How long merchants took to hand something in, and have taken until now.

    What Stripe put off was not answered until then.
    """
    lengths = [
        Length(e.until - e.span.since, e.became is not Stage.LATER)
        for e in ended
        if e.span.stage is Stage.DUE
    ]
    return lengths + _open(spans, Stage.DUE, as_of)


def _open(spans: Iterable[Span], stage: Stage, as_of: datetime) -> list[Length]:
    return [Length(as_of - span.since, False) for span in spans if span.stage is stage]
