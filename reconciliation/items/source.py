"""Where items come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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
    """Another service's feed, which tells each thing at least once, from a place on."""

    @property
    def name(self) -> str:
        """Under which its cursor is kept; never changes."""
        ...

    @property
    def messages_per_batch(self) -> int:
        """Of so many messages never come more than `MAX_BATCH_ITEMS`."""
        ...

    def watch(self, cursor: str) -> Any:
        """The feed after a cursor, as a call to read from; an empty one is the beginning."""
        ...

    def batch_of(self, told: Sequence[Any]) -> Batch:
        """What some messages say, at least one of them."""
        ...

    def cursor_after_restore(self, place: Mapping[str, str]) -> str:
        """The cursor at which the feed of a service that was restored from a backup goes on, by
        what it says of it."""
        ...
