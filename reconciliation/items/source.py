"""Where items come from."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciliation.matching.item import Item

MAX_BATCH_ITEMS = 5_000


@dataclass(frozen=True)
class Batch:
    """Items, and where the source goes on after them."""

    items: Sequence[Item]
    """At most `MAX_BATCH_ITEMS`; the same ones may come again."""
    cursor: str
    """Opaque to all but the source."""


class ItemSource(Protocol):
    """Gives items, at least once, from a place on."""

    @property
    def name(self) -> str:
        """Under which its cursor is kept; never changes."""
        ...

    def batches(self, cursor: str) -> AsyncIterator[Batch]:
        """All that there is after a cursor; an empty one is the beginning. May wait for more, or
        end when there is none for now. Raises what `runtime.loops` takes for an outage."""
        ...
