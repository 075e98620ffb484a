"""Changes of incidents, as endpoints of operators are sent them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.epochs import Epochs, FeedName, epoch_of, epochs
from gateway.foresight.incident import IncidentState
from gateway.foresight_service.messages import change_message, incident_id
from gateway.foresight_service.store import CHANGE
from gateway.webhooks_out.domain import Feed
from gateway.webhooks_out.feeds import FeedChange, OutgoingMessage
from gateway.webhooks_out.messages import body_with

# What a change of a release before is, which has written down how the incident stood.
_KINDS = {IncidentState.FORESEEN: "opened", IncidentState.BROKEN: "broken"}


class IncidentFeed:
    """The feed of WatchIncidents."""

    feed = Feed.INCIDENTS
    epochs_of = FeedName.FORESIGHT

    async def epochs(self, connection: AsyncConnection) -> Epochs:
        """Its epochs, and its last sequence."""
        newest = select(func.coalesce(func.max(CHANGE.c.sequence), 0))
        last: int = (await connection.execute(newest)).scalar_one()
        return await epochs(connection, FeedName.FORESIGHT, last)

    async def changes(
        self, connection: AsyncConnection, after: int, limit: int
    ) -> Sequence[FeedChange]:
        """The next changes; they are no merchant's."""
        statement = (
            select(CHANGE).where(CHANGE.c.sequence > after).order_by(CHANGE.c.sequence).limit(limit)
        )
        return [
            FeedChange(row.sequence, incident_id(row.corridor, row.raise_minute), "", kind_of(row))
            for row in await connection.execute(statement)
        ]

    async def rows(
        self, connection: AsyncConnection, sequences: Sequence[int]
    ) -> Mapping[int, Any]:
        """The changes with their epochs."""
        statement = select(CHANGE, epoch_of(FeedName.FORESIGHT, CHANGE.c.sequence)).where(
            CHANGE.c.sequence.in_(sequences)
        )
        return {row.sequence: row for row in await connection.execute(statement)}

    def message(self, row: Any) -> OutgoingMessage:
        """A body as those of payments are; `data` is the change as WatchIncidents has it."""
        body = body_with(f"incident.{kind_of(row)}", change_message(row, row.epoch))
        return OutgoingMessage(row.epoch, row.sequence, row.record_time, body)


def kind_of(row: Any) -> str:
    """What endpoints are filtered by: opened, updated, broken, closed."""
    if row.telling is not None:
        return str(row.telling["change"]).lower()
    return _KINDS.get(IncidentState(row.state), "closed")
