"""Runs: compares what is new with what it is linked to, and writes down what follows.

What is matched follows from the items alone. A run looks at the new ones and at all that is linked
to them, applies the rules to those, and writes the difference to what was said before: matches
that no longer follow are revoked, for a later item may tell of a tie.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from prometheus_client import Counter, Histogram
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciliation.matching.item import ItemKey, Leg
from reconciliation.matching.match import Match, Rule
from reconciliation.matching.policy import Policy
from reconciliation.matching.reconciling import Decided, reconcile
from reconciliation.runs import store
from reconciliation.runs.linked import Additions, Linked, load_linked
from reconciliation.runs.linked import write as write_additions
from reconciliation.runs.store import Change
from runtime.clock import Clock
from runtime.loops import Loop
from runtime.notifier import Notifier

BATCH_ITEMS = 20_000
# Differences that become due in one run.
BATCH_DUE = 1_000
POLL_SECONDS = 1.0
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

MATCHED = Counter("reconciliation_matched_items_total", "Items put into a match.", ["leg"])
REVOKED = Counter(
    "reconciliation_revoked_matches_total", "Matches that no longer follow from the items.", ["leg"]
)
RUN_SECONDS = Histogram("reconciliation_run_seconds", "How long a run took, with its commit.")
for _leg in Leg:
    MATCHED.labels(_leg.value)
    REVOKED.labels(_leg.value)


class Matcher:
    """Matches what has come in, a bounded number of items in each transaction."""

    def __init__(
        self,
        engine: AsyncEngine,
        policy: Policy,
        clock: Clock,
        notifier: Notifier,
        batch_items: int = BATCH_ITEMS,
    ) -> None:
        """`notifier` is notified when there are new items."""
        self._engine = engine
        self._policy = policy
        self._clock = clock
        self._notifier = notifier
        self._batch_items = batch_items

    @property
    def policy(self) -> Policy:
        """The ages that it goes by."""
        return self._policy

    def loop(self) -> Loop:
        """Matches again and again."""
        return Loop("matching", self.round, poll_seconds=POLL_SECONDS, notifier=self._notifier)

    async def round(self) -> bool:
        """Makes one run, which is one transaction; False if there was nothing to do."""
        with RUN_SECONDS.time():
            async with self._engine.begin() as connection:
                return await self._run(connection)

    async def _run(self, connection: AsyncConnection) -> bool:
        now = self._clock.now()
        place = await store.lock(connection, BEGINNING)
        upto, of_payouts = await store.next_items(connection, place.last_ordinal, self._batch_items)
        due = await store.next_due(connection, place.due_until, now, BATCH_DUE)
        if upto == place.last_ordinal and due is None:
            return False
        # A clock that was set back does not make anything due again.
        due_until = due if due is not None else max(place.due_until, now)
        change = await store.begin_change(
            connection, "RUN", place, upto, due_until, self._policy.version, now
        )
        added: list[int] = []
        ended: list[int] = []
        if upto > place.last_ordinal:
            paired = await store.pair_isolated(connection, change)
            for leg, pairs in paired.pairs.items():
                MATCHED.labels(leg.value).inc(2 * pairs)
            # What was matched alone has nothing in common with others.
            left = paired.remaining
            with_payouts = sorted({*left, *of_payouts})
            for leg in Leg:
                looked_at = with_payouts if leg is Leg.CONTENT else left
                seeds = await store.seeds(connection, change, leg, looked_at)
                if seeds:
                    new, old = await self.look(connection, change, leg, seeds)
                    added += new
                    ended += old
        await store.tell(
            connection,
            change,
            due_before=place.due_until,
            due_until=due_until,
            added=added,
            ended=ended,
        )
        return True

    async def look(
        self,
        connection: AsyncConnection,
        change: Change,
        leg: Leg,
        item_ids: Collection[int],
        ignoring: Collection[ItemKey] = (),
        by_person: Iterable[tuple[Match, str, str]] = (),
        linked: Linked | None = None,
    ) -> tuple[list[int], list[int]]:
        """Applies the rules to some items and all that is linked to them, besides what people
        say now; the differences that were added and that were ended."""
        if linked is None:
            linked = await load_linked(connection, change, leg, item_ids)
        said = tuple(by_person)
        additions = Additions(leg, matches=list(said), ignored=list(ignoring))
        pinned = _pinned(linked) | set(ignoring) | {k for m, _, _ in said for k in m.members}
        found = reconcile(
            linked.items,
            self._policy,
            linked.popular,
            Decided(
                ignored=frozenset((leg, key) for key in pinned),
                revoked=frozenset((leg, members) for members in linked.revoked),
            ),
            [leg],
        )[leg]
        follows = {(match.rule, match.members): match for match in found.matches}
        differs = set(found.differences)
        gone = []
        for match_id, members in linked.match_members.items():
            rule = next(
                s.rule for s in (linked.standings[key] for key in members) if s.match_id == match_id
            )
            assert rule is not None, "a match has a rule"
            # What people said stands until they revoke it.
            if rule is not Rule.PERSON and follows.pop((rule, members), None) is None:
                gone.append(match_id)
        ended = []
        for difference_id, difference in linked.differences.items():
            if difference in differs:
                differs.remove(difference)
            else:
                ended.append(difference_id)
        additions.matches += [(match, "", "") for match in follows.values()]
        additions.differences += sorted(differs, key=lambda difference: difference.items)
        await store.revoke(connection, change, gone)
        await store.end(connection, change, ended)
        added = await write_additions(connection, change, linked, additions)
        REVOKED.labels(leg.value).inc(len(gone))
        MATCHED.labels(leg.value).inc(sum(len(m.allocations) for m in follows.values()))
        return added, ended


def _pinned(linked: Linked) -> set[ItemKey]:
    """Items that people have decided about."""
    return {
        key
        for key, standing in linked.standings.items()
        if (standing.is_ignored or standing.rule is Rule.PERSON) and not standing.has_ended
    }
