"""One item's failure stays with that item: its neighbours, the loop and the process go on.

An item is whatever a loop has many of: a row, a merchant, a list. It is identified by a key that
says nothing personal, and what is told of its failure is type and place, never a message.

A loop that *claims* rows reads them by `Items.claimed`, within the transaction of the claim: a row
that cannot be read, or was claimed too often without an end, becomes a dead letter then and there.
Nobody claims it again, and a person finds it.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import Counter

from runtime.logs import get_logger, place_of
from runtime.loops import is_unavailable

# Items whose failure was told already, which is not told again in each round.
MAX_TOLD = 1_000

FAILED = Counter(
    "loop_items_failed_total",
    "Times an item of a background loop could not be read, or could not be handled.",
    ["items", "failure"],
)

Row = TypeVar("Row")
Item = TypeVar("Item")

log = get_logger(__name__)


class DeadLetterError(Exception):
    """Raised by the reader of a row that is not to be tried (again); `reason` is for a person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A claimed row that is set aside: its key, and why, in one word."""

    key: str
    reason: str


class Items:
    """The items of one kind, with what is known of their failures."""

    def __init__(self, kind: str) -> None:
        """`kind` names them in logs and metrics, which are there from now on."""
        self._kind = kind
        # In the order in which they were told of.
        self._told: dict[str, None] = {}
        self._unreadable = FAILED.labels(kind, "unreadable")
        self._unhandled = FAILED.labels(kind, "unhandled")

    @contextmanager
    def kept_apart(self, key: str) -> Iterator[None]:
        """Handles one item: its failure is counted and told of once, and ends with the block.

        That a dependency is away is no failure of the item: that goes on to the loop.
        """
        try:
            yield
        except Exception as error:
            if is_unavailable(error):
                raise
            self.unhandled(key, error)
        else:
            self._told.pop(key, None)

    async def together(
        self,
        items: Sequence[Item],
        handle: Callable[[Sequence[Item]], Awaitable[None]],
        key: Callable[[Item], str],
        on_unhandled: Callable[[Item, Exception], None] | None = None,
    ) -> None:
        """Handles items as one, and if that fails by halves, down to what cannot be handled.

        `handle` does all of what it is given or nothing, or can do it twice.
        """
        if not items:
            return
        try:
            await handle(items)
        except Exception as error:
            if is_unavailable(error):
                raise
            if len(items) > 1:
                middle = len(items) // 2
                for half in (items[:middle], items[middle:]):
                    await self.together(half, handle, key, on_unhandled)
                return
            for item in items:
                self.unhandled(key(item), error)
                if on_unhandled is not None:
                    on_unhandled(item, error)
        else:
            for item in items if self._told else ():
                self._told.pop(key(item), None)

    def unhandled(self, key: str, error: Exception) -> None:
        """Counts an item's failure, and tells of it if it is news."""
        self._unhandled.inc()
        self._tell("item_unhandled", key, error)

    def readable(
        self, rows: Iterable[Row], read: Callable[[Row], Item], key: Callable[[Row], str]
    ) -> list[Item]:
        """The rows that can be read, as items; the others are counted, told of, and left out."""
        items, _ = self._read(rows, read, key)
        return items

    async def claimed(
        self,
        rows: Iterable[Row],
        read: Callable[[Row], Item],
        key: Callable[[Row], str],
        set_aside: Callable[[Sequence[DeadLetter]], Awaitable[None]],
    ) -> list[Item]:
        """The items of claimed rows. `set_aside` writes down those that are dead letters; call
        this within the transaction of the claim, so that nobody claims them again."""
        items, dead = self._read(rows, read, key)
        if dead:
            await set_aside(dead)
        return items

    def _read(
        self, rows: Iterable[Row], read: Callable[[Row], Item], key: Callable[[Row], str]
    ) -> tuple[list[Item], list[DeadLetter]]:
        items: list[Item] = []
        dead: list[DeadLetter] = []
        for row in rows:
            try:
                items.append(read(row))
            except Exception as error:  # noqa: BLE001 (whatever a row holds, the next is read)
                reason = error.reason if isinstance(error, DeadLetterError) else "UNREADABLE"
                dead.append(DeadLetter(key(row), reason))
                self._unreadable.inc()
                self._tell("item_unreadable", key(row), error)
        return items, dead

    def _tell(self, event: str, key: str, error: Exception) -> None:
        if key in self._told:
            return
        self._told[key] = None
        if len(self._told) > MAX_TOLD:
            del self._told[next(iter(self._told))]
        log.error(event, items=self._kind, item=key, **place_of(error))
