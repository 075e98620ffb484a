"""Whatever happens to events, rounds and the database, in any order: markers never say too much,
and what was acknowledged is there in the end. Stripe, its lag and the database are models here."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, OutcomeClass
from gateway.webhooks_in.brokers.broker import Broker, End
from gateway.webhooks_in.event import ReceivedEvent
from gateway.webhooks_in.inbox import PostgresInbox
from gateway.webhooks_in.recovery import EventRecovery
from gateway.webhooks_in.walk_markers import Account, WalkMarkers
from gateway.webhooks_in.walk_proofs import WalkProofs
from gateway.webhooks_in.walks import LOST_WITHIN
from runtime.clock import ManualClock
from tests.gateway.webhooks_in.conftest import START
from tests.gateway.webhooks_in.recovering import nobody

MAX_LAG_SECONDS = int(LOST_WITHIN.total_seconds()) - 1
OWN: Account = ("default", None)
# A step and how it is meant.
Step = tuple[str, int]


@dataclass
class Made:
    """An event at Stripe, which the lists have so much later."""

    values: dict[str, Any]
    lag_seconds: int
    is_acknowledged: bool = False


@dataclass
class State:
    """What is in the database."""

    events: dict[str, datetime] = field(default_factory=dict)
    markers: dict[Account, datetime] = field(default_factory=dict)

    def copy(self) -> "State":
        return State(dict(self.events), dict(self.markers))


class World:
    """Stripe, a database that can be put back, and perhaps a broker before it; it is all that event
    recovery is given."""

    corridors = ("default",)
    name = "model"

    def __init__(self, has_broker: bool) -> None:
        self.clock = ManualClock(START)
        self.records = self
        self.made: list[Made] = []
        self.state, self.kept, self.restores = State(), State(), 0
        self.calls_left = -1
        self.letters: list[Made] = []
        self.relayed = 0
        self.has_broker = has_broker
        self.processes = [self.process(), self.process()]

    def process(self) -> EventRecovery:
        proofs = WalkProofs(
            cast("WalkMarkers", self), cast("Broker", self) if self.has_broker else None
        )
        return EventRecovery(
            cast("StripeClient", self),
            cast("PostgresInbox", self),
            cast("WalkMarkers", self),
            proofs,
            self.clock,
            nobody,
            page_size=2,
        )

    # Stripe.

    def make(self, lag_seconds: int) -> Made:
        number = len(self.made)
        values = {
            "id": f"evt_{number}",
            "object": "event",
            "type": "charge.updated",
            "created": int(self.clock.now().timestamp()),
            "livemode": False,
            "data": {"object": {"id": f"ch_{number}", "object": "charge"}},
        }
        self.made.append(Made(values, lag_seconds))
        return self.made[-1]

    async def list_events(
        self, _corridor: str, params: Mapping[str, Any], *, connected_account: str | None
    ) -> Outcome:
        assert connected_account is None
        if self.calls_left == 0:
            return Outcome(OutcomeClass.UNKNOWN)
        self.calls_left -= 1
        now = self.clock.now().timestamp()
        since = params.get("created", {}).get("gte", 0)
        ids = [one.values["id"] for one in self.made]
        after = ids.index(params["ending_before"]) if "ending_before" in params else -1
        before = ids.index(params["starting_after"]) if "starting_after" in params else len(ids)
        page = [
            one.values
            for number, one in enumerate(self.made)
            if after < number < before
            and since <= one.values["created"] <= now - one.lag_seconds
            and not ("delivery_success" in params and one.is_acknowledged)
        ]
        limit = params["limit"]
        # The pages before one are those next to it.
        page = page[:limit] if "ending_before" in params else page[-limit:]
        return Outcome(OutcomeClass.SUCCEEDED, {"data": page[::-1]})

    # The database.

    async def incarnation(self) -> tuple[str, datetime | None]:
        return str(self.restores), max(self.state.events.values(), default=None)

    async def store_all(self, received: Sequence[ReceivedEvent]) -> list[bool]:
        return [self.store(one.event.event_id, one.event.created_time) for one in received]

    def store(self, event_id: str, created_time: datetime) -> bool:
        is_new = event_id not in self.state.events
        self.state.events[event_id] = created_time
        return is_new

    async def walked_until(self, account: Account) -> datetime | None:
        return self.state.markers.get(account)

    async def advance(self, walked: Mapping[Account, datetime], incarnation: str) -> bool:
        if incarnation != str(self.restores):
            return False
        for account, until in walked.items():
            earlier = self.state.markers.get(account, until)
            self.state.markers[account] = max(earlier, until)
        return True

    # Intake and a broker.

    def acknowledge(self, one: Made) -> None:
        one.is_acknowledged = True
        self.letters.append(one)
        if not self.has_broker:
            self.relay()

    def relay(self) -> None:
        for one in self.letters[self.relayed :]:
            self.store(one.values["id"], datetime.fromtimestamp(one.values["created"], UTC))
        self.relayed = len(self.letters)

    async def end(self) -> End:
        return (len(self.letters),)

    async def is_past(self, end: End) -> bool:
        return self.relayed >= end[0]

    async def take(self, step: Step) -> None:
        kind, amount = step
        waiting = [one for one in self.made if not one.is_acknowledged]
        match kind:
            case "make":
                self.make(amount % (MAX_LAG_SECONDS + 1))
            case "deliver" if waiting:
                self.acknowledge(waiting[amount % len(waiting)])
            case "relay":
                self.relay()
            case "pass":
                self.clock.advance(timedelta(seconds=amount))
            case "round":
                await self.processes[amount % 2].work_once()
            case "cut off":
                self.calls_left = amount % 4
                await self.processes[amount % 2].work_once()
                self.calls_left = -1
            case "restart":
                self.processes[amount % 2] = self.process()
            case "back up":
                self.kept = self.state.copy()
            case "restore":
                self.state, self.restores = self.kept.copy(), self.restores + 1

    def missing(self, until: datetime | None = None) -> list[str]:
        return [
            one.values["id"]
            for one in self.made
            if one.values["id"] not in self.state.events
            and (until is None or one.values["created"] < until.timestamp())
        ]


KINDS = (
    *("make", "make", "deliver", "deliver", "relay", "pass", "pass", "round", "round"),
    *("cut off", "restart", "back up", "restore"),
)
STEPS = st.tuples(st.sampled_from(KINDS), st.integers(0, 5_000))


# Acknowledged and lost while Stripe did not list it yet.
@example(False, [("make", 300), ("deliver", 0), ("restore", 0), ("round", 0)])
# Lost by one process and compared by another, late and with a broker.
@example(
    True,
    [
        *(("make", 0), ("pass", 4_000), ("make", 0), ("deliver", 1), ("relay", 0), ("round", 1)),
        *(("pass", 900), ("deliver", 0), ("round", 1), ("back up", 0), ("relay", 0)),
        *(("restore", 0), ("round", 1), ("pass", 900), ("make", 0), ("deliver", 0), ("round", 0)),
    ],
)
@settings(max_examples=60, deadline=None)
@given(st.booleans(), st.lists(STEPS, max_size=40))
def test_nothing_acknowledged_is_lost(has_broker: bool, steps: list[Step]) -> None:
    async def play() -> None:
        world = World(has_broker)
        # A database that has its first marker; before, there is a guess.
        world.acknowledge(world.make(0))
        world.relay()
        for _ in range(2):
            await world.processes[0].work_once()
        world.kept = world.state.copy()
        for step in steps:
            await world.take(step)
            marker = await world.walked_until(OWN)
            assert marker is not None
            assert world.missing(marker) == [], step
        world.relay()
        for _ in range(2):
            world.clock.advance(LOST_WITHIN)
            await world.processes[0].work_once()
        assert world.missing() == []

    asyncio.run(play())
