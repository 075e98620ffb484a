"""What people decide: written down as a change, after which the rules look at the items again."""

from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.breaks import store
from reconciliation.errors import (
    break_ended,
    item_not_ignored,
    item_not_open,
    items_of_another_break,
    match_revoked,
    needs_another_person,
    sums_differ,
)
from reconciliation.matching.item import ItemKey, Leg
from reconciliation.matching.match import MatchError, Rule, differences, whole_match
from reconciliation.runs import store as runs
from reconciliation.runs.linked import Linked, load_linked
from reconciliation.runs.matcher import BEGINNING, Matcher
from reconciliation.runs.store import Change, Place
from runtime.clock import Clock


class Deciding:
    """Makes changes in the name of people. Each is one transaction of the caller's."""

    def __init__(self, matcher: Matcher, clock: Clock) -> None:
        self._matcher = matcher
        self._clock = clock

    async def resolve(
        self,
        connection: AsyncConnection,
        break_id: int,
        leg: Leg,
        of_break: Collection[int],
        keys: Sequence[ItemKey],
        client: str,
        note: str,
    ) -> int:
        """Matches items that differ; the id of the match. Raises what is in the way."""
        place, change = await self._begin(connection)
        ids = [await store.id_of(connection, key) for key in dict.fromkeys(keys)] or list(of_break)
        if not set(ids) & set(of_break):
            raise items_of_another_break(break_id)
        linked = await load_linked(connection, change, leg, ids)
        wanted = {item_id: key for key, item_id in linked.ids.items()}
        items = [linked.items[wanted[item_id]] for item_id in ids]
        for item in items:
            _check_open(linked, item.id, leg)
        try:
            match = whole_match(leg, Rule.PERSON, items)
        except MatchError as error:
            raise sums_differ(differences(leg, items)) from error
        added, ended = await self._matcher.look(
            connection, change, leg, ids, by_person=[(match, client, note)], linked=linked
        )
        await self._tell(connection, place, change, added, ended, client, note)
        # It is in the one match that the first of its items is in now.
        found = store.MatchFilter(leg=leg.value, item_id=ids[0])
        at = store.moment_now(change.now)
        (made,) = await store.list_matches(connection, found, at, 0, 2)
        return int(made.match_id)

    async def ignore(
        self, connection: AsyncConnection, key: ItemKey, leg: Leg, client: str, note: str
    ) -> bool:
        """Whether the item is ignored now; False if another one has to agree. Raises what is in
        the way."""
        place, change = await self._begin(connection)
        item_id = await store.id_of(connection, key)
        linked = await load_linked(connection, change, leg, [item_id])
        if key not in linked.items:
            raise item_not_open(key, leg)
        _check_open(linked, key, leg)
        last = await store.last_ignore_step(connection, leg.value, item_id)
        round_, step = last.following
        # An item that is open is not ignored: two have not asked, or two have taken it back.
        assert step in (1, 2), "an item that is open is not ignored"
        if step == 2 and client == last.client:
            raise needs_another_person(client)
        await store.add_ignore_step(
            connection, leg.value, item_id, (round_, step), client, note, change.number
        )
        if step == 1:
            return False
        added, ended = await self._matcher.look(
            connection, change, leg, [item_id], ignoring=[key], linked=linked
        )
        await self._tell(connection, place, change, added, ended, client, note)
        return True

    async def unignore(
        self, connection: AsyncConnection, key: ItemKey, leg: Leg, client: str, note: str
    ) -> bool:
        """Whether the item is still ignored, as another one has to agree. Raises what is in the
        way."""
        place, change = await self._begin(connection)
        item_id = await store.id_of(connection, key)
        last = await store.last_ignore_step(connection, leg.value, item_id)
        round_, step = last.following
        if step not in (3, 4):
            raise item_not_ignored(key, leg)
        if step == 4 and client == last.client:
            raise needs_another_person(client)
        await store.add_ignore_step(
            connection, leg.value, item_id, (round_, step), client, note, change.number
        )
        if step == 3:
            return True
        added, ended = await self._matcher.look(connection, change, leg, [item_id])
        await self._tell(connection, place, change, added, ended, client, note)
        return False

    async def accept(
        self, connection: AsyncConnection, break_id: int, client: str, note: str
    ) -> bool:
        """Whether a break without items is accepted now; False if another one has to agree."""
        place, change = await self._begin(connection)
        # Who waited for the lock may find it ended.
        at = store.moment_now(change.now)
        if (await store.get_break(connection, break_id, at)).has_ended:
            raise break_ended(break_id)
        before = await store.accepted_by(connection, break_id)
        if client in before:
            raise needs_another_person(client)
        step = len(before) + 1
        await store.add_acceptance(connection, break_id, step, client, note, change.number)
        if step == 1:
            return False
        await runs.end(connection, change, [break_id])
        await self._tell(connection, place, change, (), [break_id], client, note)
        return True

    async def revoke(
        self, connection: AsyncConnection, match_id: int, client: str, note: str
    ) -> None:
        """Revokes a match and looks at its items again. Raises what is in the way."""
        place, change = await self._begin(connection)
        at = store.moment_now(change.now)
        match = await store.get_match(connection, match_id, at)
        if match.revoke_time is not None:
            raise match_revoked(match_id)
        await runs.revoke(connection, change, [match_id], client, note)
        item_ids = [item_id for item_id, _ in match.allocations]
        added, ended = await self._matcher.look(connection, change, Leg(match.leg), item_ids)
        await self._tell(connection, place, change, added, ended, client, note)

    async def _begin(self, connection: AsyncConnection) -> tuple[Place, Change]:
        now = self._clock.now()
        place = await runs.lock(connection, BEGINNING)
        change = await runs.begin_change(
            connection,
            "PERSON",
            place,
            place.last_ordinal,
            place.due_until,
            self._matcher.policy.version,
            now,
        )
        return place, change

    async def _tell(
        self,
        connection: AsyncConnection,
        place: Place,
        change: Change,
        added: Sequence[int],
        ended: Sequence[int],
        client: str,
        note: str,
    ) -> None:
        await runs.tell(
            connection,
            change,
            due_before=place.due_until,
            due_until=place.due_until,
            added=added,
            ended=ended,
            client=client,
            note=note,
        )


def _check_open(linked: Linked, key: ItemKey, leg: Leg) -> None:
    standing = linked.standings.get(key)
    if standing is None or standing.has_ended or standing.difference_id is None:
        raise item_not_open(key, leg)
