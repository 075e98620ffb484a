"""How much of a server callers may take before it has read what they want.

A request costs memory as soon as it is read, many times its size once it is decoded, and time of
the event loop that all share. So who calls, and whether there is room, is decided before the
message is read: until then gRPC takes no more of it than one window of flow control
(`WINDOW_BYTES`), and its sender waits. What bounds what: docs/adr/0029-admission-before-work.md.
"""

import asyncio
from collections import deque
from contextlib import suppress

# What a request may have unless its method says otherwise.
MAX_REQUEST_BYTES = 256 * 1024
# The most that a method may allow.
MAX_BATCH_BYTES = 16 * 1024 * 1024
# A request that is too large by no more than this is refused by us, with the reason; gRPC itself
# refuses larger ones by the length that they announce, and reads nothing of them.
REFUSED_BYTES = 1024 * 1024
# What gRPC holds of a message that nobody has begun to read.
WINDOW_BYTES = 64 * 1024
# Of large requests, as they came, from before they are read until they are answered. Decoded and at
# work they take some six times as much.
LARGE_BYTES_IN_HAND = 32 * 1024 * 1024
# Messages that are being read at a moment: of small requests, of operators', and of health and
# reflection, which need no rights.
READS, OPERATORS_READS, OPEN_READS = 32, 8, 8
# Pieces, of requests that come in several, that are waited for at a moment.
PIECE_READS = 8
# A message that has not come by then is not waited for: others want to be read.
READ_SECONDS = 5.0
# How long a large request waits for others to be done with before it is OVERLOADED.
ROOM_SECONDS = 10.0
# Large requests that wait, beyond which the next is OVERLOADED at once.
MAX_WAITING = 64
# Calls and streams that only operators may have beyond the limit.
OPERATORS_RESERVE = 16


class NoRoomError(Exception):
    """Something of the server is used up for now; `what` names it."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Quota:
    """How many calls, or streams, are in flight; operators have a few more than others."""

    def __init__(self, name: str, limit: int, reserve: int = OPERATORS_RESERVE) -> None:
        self.name = name
        self._limit = limit
        self._reserve = reserve
        self._taken = 0

    def enter(self, *, operator: bool) -> None:
        """Takes a place; `leave` gives it back. Raises `NoRoomError`."""
        if self._taken >= self._limit + (self._reserve if operator else 0):
            raise NoRoomError(self.name)
        self._taken += 1

    def leave(self) -> None:
        """Gives a place back."""
        self._taken -= 1


class ByteBudget:
    """Bytes of large requests in hand; whoever waits for some is served in order."""

    def __init__(self, total: int, max_waiting: int = MAX_WAITING) -> None:
        self._left = total
        self._total = total
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def in_hand(self) -> int:
        """Bytes that are taken."""
        return self._total - self._left

    def take(self, count: int) -> None:
        """Takes so many at once. Raises `NoRoomError`."""
        if self._waiting or count > self._left:
            raise NoRoomError("large requests")
        self._left -= count

    async def take_in_turn(self, count: int, seconds: float = ROOM_SECONDS) -> None:
        """Takes so many when it is this caller's turn. Raises `NoRoomError` if it is not in time,
        or if too many wait already."""
        if not self._waiting and count <= self._left:
            self._left -= count
            return
        if len(self._waiting) >= self._max_waiting:
            raise NoRoomError("large requests")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                # It had its turn in the moment in which it was told not to wait any longer.
                self.give_back(count)
            else:
                with suppress(ValueError):
                    self._waiting.remove((count, turn))
                self._serve()
            if isinstance(error, TimeoutError):
                raise NoRoomError("large requests") from None
            raise

    def give_back(self, count: int) -> None:
        """Gives so many back."""
        self._left += count
        assert self._left <= self._total, "more came back than was taken"
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._left:
            count, turn = self._waiting.popleft()
            if not turn.done():
                self._left -= count
                turn.set_result(None)
