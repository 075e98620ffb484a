"""What this replica knows of the corridors' modes."""

from collections.abc import Callable

from gateway.stripe_client import telemetry
from gateway.stripe_client.call import CorridorMode
from gateway.stripe_client.store import CorridorStore, ModeChange
from runtime.loops import Loop

# So long another replica's change may go unnoticed.
REFRESH_SECONDS = 1.0


class ModeBoard:
    """Follows the modes in the database. While that is down, what was known last counts."""

    def __init__(
        self, store: CorridorStore, on_change: Callable[[str, CorridorMode], None] | None = None
    ) -> None:
        self._store = store
        self._on_change = on_change
        self._changes: dict[str, ModeChange] = {}

    def mode_of(self, corridor: str) -> CorridorMode:
        """The mode of a corridor; open unless an operator has said otherwise."""
        change = self._changes.get(corridor)
        return change.mode if change is not None else CorridorMode.OPEN

    def last_change_of(self, corridor: str) -> ModeChange | None:
        """Who is to thank for the mode, if anyone."""
        return self._changes.get(corridor)

    async def refresh(self) -> None:
        """Reads the modes. Raises `SQLAlchemyError` if the database does not answer."""
        known, self._changes = self._changes, await self._store.last_changes()
        for corridor, change in self._changes.items():
            before = known[corridor].mode if corridor in known else CorridorMode.OPEN
            if before is not change.mode:
                telemetry.mode_changed(corridor, before.value, change.mode.value)
                if self._on_change is not None:
                    self._on_change(corridor, change.mode)

    def loop(self) -> Loop:
        """Follows the database; the first look was at the start."""
        return Loop("corridor modes", self._round, poll_seconds=REFRESH_SECONDS, rests_first=True)

    async def _round(self) -> bool:
        await self.refresh()
        return False
