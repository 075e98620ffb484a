"""What a condition is, and which of those that were told of have ended: pure rules."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciliation.matching.policy import BreakKind

MAX_SUBJECT_BYTES = 512
MAX_SAYS_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong and is not of items of a leg.

    One with the same kind, corridor, subject and amounts is the same condition, however often it
    is found; `since` and `says` are those of the first time.
    """

    kind: BreakKind
    corridor: str
    subject: str
    """What it is of, alike whenever it is found, as "statement acme-eur 2026-11-30"."""
    since: datetime
    says: str
    """What is wrong, as a sentence begins: "the balance and its rows differ"."""
    amounts: tuple[tuple[str, int], ...] = ()
    """By currency, in minor units; empty where no amount is known."""

    def __post_init__(self) -> None:
        assert 0 < len(self.subject.encode()) <= MAX_SUBJECT_BYTES, self.subject
        assert 0 < len(self.says) <= MAX_SAYS_CHARACTERS, self.says
        assert self.amounts == tuple(sorted(dict(self.amounts).items())), self.amounts

    @property
    def identity(self) -> "Identity":
        """What makes two of them the same."""
        return self.kind, self.corridor, self.subject, self.amounts


Identity = tuple[BreakKind, str, str, tuple[tuple[str, int], ...]]


@dataclass(frozen=True)
class Told:
    """What was told before: conditions that hold, by their ids, and those that people accepted."""

    holding: Mapping[Identity, int]
    accepted: Collection[Identity]


@dataclass(frozen=True)
class Changes:
    """What is to be told now."""

    begun: tuple[Condition, ...]
    ended: tuple[int, ...]


def changes(found: Iterable[Condition], told: Told, *, is_everything: bool) -> Changes:
    """What follows from the conditions that were found now. If they are everything there is, those
    that are not among them have ended."""
    by_identity = {condition.identity: condition for condition in reversed(list(found))}
    begun = [
        condition
        for identity, condition in by_identity.items()
        if identity not in told.holding and identity not in told.accepted
    ]
    gone = [
        difference_id
        for identity, difference_id in told.holding.items()
        if is_everything and identity not in by_identity
    ]
    return Changes(tuple(sorted(begun, key=lambda c: c.identity)), tuple(sorted(gone)))
