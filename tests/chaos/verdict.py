"""What a judge says: a broken promise, and the form of a rule."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.chaos.evidence import OutcomeLookup


@dataclass(frozen=True, order=True)
class Violation:
    """A broken promise: the rule's name, of what, and why."""

    rule: str
    subject: str
    why: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}: {self.why}"


Rule = Callable[[OutcomeLookup], Iterator[Violation]]
