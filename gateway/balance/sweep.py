"""The sweep: reads each corridor's balance transactions and books what no event has reported.

It may stop anywhere: how far it is, is in the database, whatever it reported before is found
reported, and another process goes on where one was killed. Each round reads four things: what is
new, what could not be explained before, what has become available, and what payouts contain.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.balance import balances, contents, store, telemetry
from gateway.balance.explaining import Explainer
from gateway.balance.movement import Movement, read_movement
from gateway.balance.store import Sweep, SweepLostError, Waiting
from gateway.bookkeeping.facts import StripeBalance
from gateway.bookkeeping.reporting import FactOutOfOrderError
from gateway.limits import LIMITS
from gateway.money import from_stripe
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, OutcomeClass, is_missing
from gateway.webhooks_in.event import OutsideUnavailable, PoisonEventError, RetryEventLater
from runtime.clock import Clock
from runtime.items import Items
from runtime.logs import get_logger
from runtime.loops import Loop, is_unavailable

POLL_SECONDS = 1.0
# One round's work on one corridor; what is left follows in the next.
MAX_PAGES = 20
MAX_WAITING = 100
MAX_WINDOWS = 20
# Stripe may show a balance transaction a while after the time that it has.
OVERLAP = timedelta(minutes=5)
# How much of what was made at about the same time is read for having become available.
WINDOW = timedelta(minutes=10)
_EXPANDED_LIST = ["data.source"]
_EXPANDED = ["source"]
# Stripe's balance does not say how much of it there is.
NEVER_TOLD = frozenset({StripeBalance.RISK_RESERVED.value})

log = get_logger(__name__)


class _StripeSilentError(Exception):
    """Stripe could not be asked, or did not say; the round ends."""

    def __init__(self, outcome: Outcome) -> None:
        told = outcome.failure.reason if outcome.failure is not None else ""
        super().__init__(outcome.not_sent_reason or told or outcome.outcome_class)


@dataclass(frozen=True, slots=True)
class SweepLimits:
    """How often a corridor is swept, under which lease, in pages of how many."""

    interval: timedelta = timedelta(seconds=60)
    lease: timedelta = timedelta(seconds=60)
    page_size: int = LIMITS.balance_page


class BalanceSweep:
    """Sweeps every corridor, again and again; several processes may."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        explainer: Explainer,
        clock: Clock,
        limits: SweepLimits,
    ) -> None:
        self._engine = engine
        self._stripe = stripe_client
        self._explainer = explainer
        self._clock = clock
        self._limits = limits
        self._items = Items("corridors to sweep")
        self._transactions = Items("balance transactions")

    def loop(self) -> Loop:
        """Sweeps whatever is due."""
        return Loop("balance sweep", self.round, poll_seconds=POLL_SECONDS)

    async def prepare(self) -> None:
        """Before the first round: each corridor has its sweep, and the time of its last is told."""
        async with self._engine.begin() as connection:
            finished = await store.prepare(connection, self._stripe.corridors, self._now())
        for corridor, time in finished.items():
            telemetry.LAST_SWEEP.labels(corridor).set(time.timestamp())

    async def round(self) -> bool:
        """One round over all corridors; whether there is more to do at once."""
        more = False
        for corridor in self._stripe.corridors:
            async with self._engine.begin() as connection:
                sweep = await store.claim(connection, corridor, self._now(), self._lease_until())
            if sweep is None:
                continue
            with self._items.kept_apart(corridor):
                # One that fails for a reason of ours is due again when its lease ends.
                more |= await self._sweep(sweep)
        return more

    async def _sweep(self, sweep: Sweep) -> bool:
        finished = False
        pause = self._limits.interval
        try:
            sweep, walked = await self._walk(sweep)
            await self._explain_waiting(sweep)
            matured = await self._mature(sweep)
            finished = walked and matured and await self._read_contents(sweep)
            if finished:
                sweep = await self._compare(sweep)
            else:
                pause = timedelta(0)
        except _StripeSilentError as silent:
            log.warning("balance_sweep_waits", corridor=sweep.corridor, reason=str(silent))
        except SweepLostError:
            log.warning("balance_sweep_lost", corridor=sweep.corridor)
            return False
        now = self._now()
        async with self._engine.begin() as connection:
            await store.release(connection, sweep, now + pause, now if finished else None)
        if finished:
            telemetry.LAST_SWEEP.labels(sweep.corridor).set(now.timestamp())
        return not pause

    async def _walk(self, sweep: Sweep) -> tuple[Sweep, bool]:
        """Reads on, from the newest back to where the sweep before ended; whether it is there."""
        if sweep.walk_from is None:
            begin = sweep.swept_until - OVERLAP if sweep.swept_until else _BEGINNING
            sweep = replace(sweep, walk_from=begin)
        for _ in range(MAX_PAGES):
            assert sweep.walk_from is not None, "a walk has its end"
            created = {"gte": int(sweep.walk_from.timestamp())}
            answer = await self._list(sweep.corridor, created, sweep.walk_after_id)
            if answer is None:
                # What the walk had come to is not there any more: it begins again.
                _tell_missing(sweep.corridor, sweep.walk_after_id)
                sweep = replace(sweep, walk_after_id=None, walk_until=None)
                continue
            page, has_more = answer
            if page and sweep.walk_until is None:
                youngest = datetime.fromtimestamp(int(page[0]["created"]), UTC)
                sweep = replace(sweep, walk_until=youngest)
            ended = not page or not has_more
            after = None if ended else str(page[-1]["id"])
            sweep = store.ended(sweep) if ended else replace(sweep, walk_after_id=after)
            await self._take(sweep, page)
            if ended:
                return sweep, True
        return sweep, False

    async def _mature(self, sweep: Sweep) -> bool:
        """Reads what Stripe says has become available; whether all of it was read."""
        for _ in range(MAX_WINDOWS):
            async with self._engine.connect() as connection:
                first = await store.next_to_mature(connection, sweep.corridor, self._now())
            if first is None:
                return True
            identifier, create_time = first
            transaction = await self._retrieve(sweep.corridor, identifier)
            if transaction is None:
                await self._set_missing(sweep.corridor, identifier)
                continue
            if not read_movement(sweep.corridor, transaction).is_available:
                return True
            window = {
                "gte": int(create_time.timestamp()),
                "lte": int((create_time + WINDOW).timestamp()),
            }
            after: str | None = None
            for _ in range(MAX_PAGES):
                answer = await self._list(sweep.corridor, window, after)
                if answer is None:
                    break
                page, has_more = answer
                await self._take(sweep, page)
                if not page or not has_more:
                    break
                after = str(page[-1]["id"])
            # Itself at least, however much the window holds.
            await self._take(sweep, [transaction])
        return False

    async def _read_contents(self, sweep: Sweep) -> bool:
        """Reads what payouts contain, in a few pages; whether there is no more to read."""
        corridor = sweep.corridor
        for _ in range(MAX_PAGES):
            async with self._engine.connect() as connection:
                payout = await contents.next_unread(connection, corridor)
            if payout is None:
                return True
            outcome = await self._pages(
                corridor, {"payout": payout.stripe_payout_id}, payout.after_id or None
            )
            refused = outcome.outcome_class is OutcomeClass.REJECTED
            page = [] if refused else _answered(outcome)["data"]
            await self._take(sweep, page)
            async with self._engine.begin() as connection:
                ids = [str(transaction["id"]) for transaction in page]
                await contents.keep_content(connection, corridor, payout, ids)
                if refused and payout.after_id:
                    # What was read last is not there any more: it begins again.
                    await contents.go_on_after(connection, payout, "")
                elif page and _answered(outcome)["has_more"]:
                    await contents.go_on_after(connection, payout, ids[-1])
                else:
                    await contents.set_read(connection, corridor, payout, self._now())
            if refused:
                log.warning("payout_content_refused", corridor=corridor, payout_id=payout.id)
        return False

    async def _explain_waiting(self, sweep: Sweep) -> None:
        async with self._engine.connect() as connection:
            listed = await store.waiting(connection, sweep.corridor, self._now(), MAX_WAITING)
        left = 0
        for waiting in listed:
            transaction = await self._retrieve(sweep.corridor, waiting.id)
            if transaction is None:
                await self._set_missing(sweep.corridor, waiting.id)
                left += 1
                continue
            left += not await self._explain(sweep.corridor, transaction, waiting)
        telemetry.UNEXPLAINED.labels(sweep.corridor).set(left)

    async def _set_missing(self, corridor: str, identifier: str) -> None:
        """Stripe has it no longer: test data was deleted, or the key is of another account. It
        stays in the sum, which differs from Stripe's balance until people have looked."""
        _tell_missing(corridor, identifier)
        async with self._engine.begin() as connection:
            await store.set_missing(connection, corridor, identifier, self._now())

    async def _take(self, sweep: Sweep, page: Sequence[Mapping[str, Any]]) -> None:
        """Keeps a page with how far the sweep is, then explains what is new of it, oldest first:
        what builds on something comes after it."""
        movements = [read_movement(sweep.corridor, transaction) for transaction in page]
        async with self._engine.begin() as connection:
            await store.save(connection, sweep, self._lease_until())
            news = await store.keep(connection, sweep.corridor, movements, self._now())
        for transaction in reversed(page):
            if transaction["id"] in news:
                await self._explain(
                    sweep.corridor, transaction, Waiting(str(transaction["id"]), attempts=0)
                )

    async def _explain(
        self, corridor: str, transaction: Mapping[str, Any], waiting: Waiting
    ) -> bool:
        movement: Movement = read_movement(corridor, transaction)
        try:
            await self._explainer.explain(movement, transaction)
        except (RetryEventLater, OutsideUnavailable, PoisonEventError) as later:
            reason = later.reason
        except FactOutOfOrderError as early:
            reason = f"NEEDS {early.requires}"
        except Exception as error:
            if is_unavailable(error):
                raise
            # One that we cannot read must not keep the others from being booked.
            self._transactions.unhandled(movement.id, error)
            reason = "UNREADABLE"
        else:
            telemetry.MOVEMENTS.labels(corridor, "explained").inc()
            return True
        telemetry.MOVEMENTS.labels(corridor, "postponed").inc()
        async with self._engine.begin() as connection:
            await store.postpone(connection, corridor, waiting, reason, self._now())
        return False

    async def _compare(self, sweep: Sweep) -> Sweep:
        """Keeps Stripe's balance beside the sum of what was read, and shows by how much they
        differ. If they do, what came while Stripe was asked is read before that is said."""
        corridor = sweep.corridor
        before = after = await self._totals(corridor)
        theirs = parts_of(_answered(await self._stripe.records.retrieve_balance(corridor)))
        asked = self._now()
        if _told(before) != {key: minor for key, minor in theirs.items() if minor}:
            sweep, _ = await self._walk(sweep)
            await self._mature(sweep)
            after = await self._totals(corridor)
        found = balances.compared(theirs, before, after, NEVER_TOLD)
        async with self._engine.begin() as connection:
            await store.save(connection, sweep, self._lease_until())
            await balances.keep(connection, corridor, found, asked)
        for one in found:
            telemetry.DIFFERENCE.labels(corridor, one.currency, one.part).set(one.difference_minor)
        return sweep

    async def _totals(self, corridor: str) -> Mapping[tuple[str, str], int]:
        async with self._engine.connect() as connection:
            return await store.totals(connection, corridor)

    async def _list(
        self, corridor: str, created: Mapping[str, int], after: str | None
    ) -> tuple[list[dict[str, Any]], bool] | None:
        """A page and whether there are more; None if there is nothing of the id `after`."""
        outcome = await self._pages(corridor, {"created": dict(created)}, after)
        if after is not None and is_missing(outcome):
            return None
        answer = _answered(outcome)
        return answer["data"], answer["has_more"]

    async def _pages(self, corridor: str, filters: Mapping[str, Any], after: str | None) -> Outcome:
        """What Stripe answers for the page after an id."""
        params: dict[str, Any] = {
            **filters,
            "limit": self._limits.page_size,
            "expand": _EXPANDED_LIST,
        }
        if after is not None:
            params["starting_after"] = after
        return await self._stripe.records.list_balance_transactions(corridor, params)

    async def _retrieve(self, corridor: str, identifier: str) -> dict[str, Any] | None:
        """One of them; None if there is none of that id."""
        outcome = await self._stripe.records.retrieve_balance_transaction(
            corridor, identifier, {"expand": _EXPANDED}
        )
        return None if is_missing(outcome) else _answered(outcome)

    def _now(self) -> datetime:
        return self._clock.now()

    def _lease_until(self) -> datetime:
        return self._now() + self._limits.lease


_BEGINNING = datetime.fromtimestamp(0, UTC)


def parts_of(balance: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """Minor units by (currency, part) of Stripe's balance.

    https://docs.stripe.com/api/balance/balance_object; money that prefunds refunds and disputes is
    one part, whether it has arrived or not.
    """
    prefunding = balance.get(StripeBalance.PREFUNDING) or {}
    amounts = [
        *((StripeBalance.PENDING, amount) for amount in balance["pending"]),
        *((StripeBalance.AVAILABLE, amount) for amount in balance["available"]),
        *(
            (StripeBalance.ISSUING, amount)
            for amount in (balance.get(StripeBalance.ISSUING) or {}).get("available") or ()
        ),
        *(
            (StripeBalance.PREFUNDING, amount)
            for part in ("pending", "available")
            for amount in prefunding.get(part) or ()
        ),
    ]
    found: dict[tuple[str, str], int] = defaultdict(int)
    for part, amount in amounts:
        currency = str(amount["currency"]).upper()
        found[currency, part.value] += from_stripe(currency, int(amount["amount"]))
    return dict(found)


def _told(totals: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """What Stripe's balance would have of our sums."""
    return {key: minor for key, minor in totals.items() if minor and key[1] not in NEVER_TOLD}


def _answered(outcome: Outcome) -> dict[str, Any]:
    if outcome.object is None:
        raise _StripeSilentError(outcome)
    return outcome.object


def _tell_missing(corridor: str, identifier: str | None) -> None:
    log.warning("balance_transaction_missing", corridor=corridor, balance_transaction=identifier)
