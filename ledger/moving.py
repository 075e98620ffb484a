"""Moving a ledger to another shard, while all others go on.

The steps are transactions that say what is so, each at one shard, and each can be the last one
before a kill: the same command goes on from there, and until the ledger is written to at its new
shard `undo` leads back.

    target ARRIVING                 the log is copied, and written on meanwhile
    source LEAVING, head fenced     nothing is written; the rest is copied, and proven equal
    target ARRIVED                  it could be read there
    source LEFT                     it is read there; after a lease nobody reads it at the source
    target HERE, head not fenced    it is written there
    directory                       the default shard says so, which spares everyone the detour

What the source has of it stays there, fenced: logs are never deleted. Should the ledger come back,
only what is new is copied.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from ledger.chain import EMPTY_CHAIN
from ledger.copying import Copied, Copier, Digest, UnequalError
from ledger.limits import LIMITS, Limits
from ledger.placements import DEFAULT_SHARD, Placement, State, read_placement
from ledger.reader import Reader
from ledger.rows import LedgerRow
from ledger.sealing import LEAVES_PER_READ, SealedLog
from ledger.seals import Seals
from ledger.statements import statement
from ledger.verification import Verification
from runtime.connections import Connection, Connections
from runtime.merkle import Frontier

# So many leases are waited: clocks of two machines do not run alike to the millisecond.
LEASE_MARGIN = 1.25
_LOCK = "SELECT pg_try_advisory_lock(hashtext('move of a ledger'), hashtext(%(name)s))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtext('move of a ledger'), hashtext(%(name)s))"
_READ_ONLY = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class MoveError(Exception):
    """Why a ledger cannot be moved; nothing was changed by this step."""


@dataclass(frozen=True)
class Proof:
    """What was found equal at both shards."""

    transactions: int
    root_hash: bytes
    digest: Digest


class Mover:
    """Moves ledgers between the shards of these connections."""

    def __init__(
        self,
        shards: Mapping[str, Connections],
        tell: Callable[[str], None],
        limits: Limits = LIMITS,
    ) -> None:
        """`tell` is given a line for each step."""
        self._shards = shards
        self.tell = tell
        self._wait_seconds = limits.placement_lease_seconds * LEASE_MARGIN

    async def move(self, ledger: str, target: str) -> None:
        """Returns when the ledger is written at the target. May be repeated after any end.

        Raises `MoveError` and `UnequalError`.
        """
        self._check_shard(target)
        async with self._alone(ledger):
            serving, found = await self._serving(ledger)
            if serving == target and found.state is State.HERE:
                await self._direct(found, target)
                self.tell(f"{ledger} is at {target}")
                return
            if serving == target and found.state is State.ARRIVED:
                await self._arrive(found, found.shard, target)
                return
            if found.state is State.ARRIVED:
                raise MoveError(
                    f"its move from {found.shard} to {serving} has not ended: repeat that first,"
                    " or undo it"
                )
            if found.state is State.LEAVING and found.shard != target:
                raise MoveError(
                    f"it is being moved from {serving} to {found.shard}: repeat that first, or"
                    " undo it"
                )
            if serving == target:
                raise MoveError(f"it is being moved from {serving} to {found.shard}")
            await self._copy(found, serving, target)
            await self._arrive(found, serving, target)

    async def undo(self, ledger: str) -> None:
        """Returns when the ledger is written where it was; raises `MoveError` where the move has
        ended."""
        async with self._alone(ledger):
            serving, found = await self._serving(ledger)
            if found.state is State.HERE:
                if not await self._forget_copies(found, serving):
                    raise MoveError(f"it is not being moved; it is at {serving}")
                self.tell(f"{ledger} is at {serving}")
                return
            if found.state is State.ARRIVED:
                source, target = found.shard, serving
            else:
                source, target = serving, found.shard
            closed = None
            if await self._change(found, target, State.ARRIVING, source, {State.ARRIVED}):
                await asyncio.sleep(self._wait_seconds)
                closed = await self._closed_time(target, ledger)
            await self._open(found, source, closed, {State.LEAVING, State.LEFT})
            await self._change(found, target, State.LEFT, source, {State.ARRIVING})
            self.tell(f"{ledger} is at {source}")

    async def _copy(self, found: Placement, source: str, target: str) -> None:
        name = found.name
        ready = {State.LEFT, State.ARRIVING, State.ARRIVED}
        if not await self._change(found, target, State.ARRIVING, source, {*ready, ""}):
            raise MoveError(f"{target} has another ledger of that name")
        async with self._both(name, source, target) as (here, there):
            copied = await Copier(here, there).copy_log()
            self.tell(f"copied {copied:,} transactions; {name} is written on meanwhile")
        await self._fence(found, source, target)
        self.tell(f"{name} takes no changes from now on")
        async with self._both(name, source, target) as (here, there):
            proof = await self._copy_and_prove(name, here, there, source, target)
        rows = sum(proof.digest.rows.values())
        self.tell(
            f"equal: {rows:,} rows of {len(proof.digest.rows)} tables, and the root over"
            f" {proof.transactions:,} transactions: {proof.root_hash.hex()}"
        )
        await self._expect(
            await self._change(found, target, State.ARRIVED, source, {State.ARRIVING}), target
        )

    async def _copy_and_prove(
        self, name: str, here: Copied, there: Copied, source: str, target: str
    ) -> Proof:
        """Copies what has come since, and everything besides the log, from one snapshot."""
        async with here.connection.transaction():
            await here.connection.execute(_READ_ONLY)
            copier = Copier(here, there)
            last = await copier.copy_log()
            await copier.copy_rest()
            digest = await copier.prove_equal()
        await self._verify(name, there, target)
        roots = [
            await self._root(shard, ledger.ledger_id, last)
            for shard, ledger in ((source, here), (target, there))
        ]
        if roots[0] != roots[1]:
            raise UnequalError(f"the roots over {last} transactions differ")
        return Proof(last, roots[0], digest)

    async def _verify(self, name: str, copy: Copied, shard: str) -> None:
        """Recomputes what the copy has besides its entries, as VerifyLedger does."""
        reads = self._shards[shard]
        async for progress in Verification(Reader(reads), reads).run(copy.ledger_id, name, 0):
            if progress.difference is not None:
                raise UnequalError(f"the copy is not whole: {progress.difference}")

    async def _root(self, shard: str, ledger_id: int, last: int) -> bytes:
        seals = Seals(self._shards[shard])
        log = SealedLog(Frontier(), b"", 0, EMPTY_CHAIN)
        for first in range(1, last + 1, LEAVES_PER_READ):
            through = min(first + LEAVES_PER_READ - 1, last)
            log.extend(await seals.leaf_hashes(ledger_id, first, through))
            await asyncio.sleep(0)
        return log.root()

    async def _arrive(self, found: Placement, source: str, target: str) -> None:
        left = {State.LEAVING, State.LEFT}
        await self._expect(await self._change(found, source, State.LEFT, target, left), source)
        self.tell(f"{found.name} is read at {target}")
        await asyncio.sleep(self._wait_seconds)
        closed = await self._closed_time(source, found.name)
        await self._open(found, target, closed, {State.ARRIVED})
        await self._direct(found, target)
        self.tell(f"{found.name} is at {target}")

    async def _direct(self, found: Placement, target: str) -> None:
        """The directory's own word, where neither of the two is the default shard."""
        if target != DEFAULT_SHARD:
            await self._change(found, DEFAULT_SHARD, State.LEFT, target, {State.LEFT})

    async def _forget_copies(self, found: Placement, serving: str) -> bool:
        """Whether a copy had been begun that is not to be: it leads to where the ledger is."""
        begun = False
        for shard in self._shards:
            placement = await self._placement(shard, found.name)
            if placement is not None and placement.state is State.ARRIVING:
                await self._change(found, shard, State.LEFT, serving, {State.ARRIVING})
                begun = True
        return begun

    async def _fence(self, found: Placement, source: str, target: str) -> None:
        """What was being committed is waited for: it holds the head's row."""
        async with self._shards[source].borrow() as connection, connection.transaction():
            await self._expect(
                await _change(
                    connection,
                    found,
                    State.LEAVING,
                    target,
                    {State.HERE, State.LEAVING, ""},
                ),
                source,
            )
            await connection.execute(
                statement("fence_ledger"),
                {"name": found.name, "fenced": True, "closed_time": None},
            )

    async def _open(
        self, found: Placement, shard: str, closed: datetime | None, before: Collection[str]
    ) -> None:
        async with self._shards[shard].borrow() as connection, connection.transaction():
            await self._expect(await _change(connection, found, State.HERE, "", before), shard)
            await connection.execute(
                statement("fence_ledger"),
                {"name": found.name, "fenced": False, "closed_time": closed},
            )

    async def _closed_time(self, shard: str, name: str) -> datetime | None:
        rows = await self._shards[shard].fetch(
            "SELECT h.closed_time FROM ledger_heads AS h INNER JOIN ledgers AS l"
            " ON h.ledger_id = l.ledger_id WHERE l.name = %(name)s",
            {"name": name},
        )
        closed: datetime | None = rows[0][0] if rows else None
        return closed

    async def _serving(self, ledger: str) -> tuple[str, Placement]:
        """The shard where the ledger is read, and what it says; raises `MoveError`."""
        shard = DEFAULT_SHARD
        for _ in range(len(self._shards) + 1):
            found = await self._placement(shard, ledger)
            if found is None:
                row = await self._row(shard, ledger)
                made = Placement(ledger, row.request_id, State.HERE, "", shard)
                return shard, made
            if found.state.is_served:
                return shard, found
            shard = found.shard
            self._check_shard(shard)
        raise MoveError("its shards name each other: undo was cut off; run it again")

    async def _placement(self, shard: str, ledger: str) -> Placement | None:
        return await read_placement(self._shards[shard], ledger)

    async def _row(self, shard: str, ledger: str) -> LedgerRow:
        rows = await self._shards[shard].fetch(
            statement("find_ledgers"), {"name": ledger, "request_id": ""}
        )
        if not rows:
            raise MoveError(f"there is no ledger {ledger}")
        return LedgerRow(*rows[0])

    async def _change(
        self, found: Placement, shard: str, state: State, other: str, before: Collection[str]
    ) -> bool:
        async with self._shards[shard].borrow() as connection:
            return await _change(connection, found, state, other, before)

    async def _expect(self, changed: bool, shard: str) -> None:
        if not changed:
            raise MoveError(f"{shard} says something else of it meanwhile; run it again")

    @asynccontextmanager
    async def _both(
        self, name: str, source: str, target: str
    ) -> AsyncIterator[tuple[Copied, Copied]]:
        row = await self._row(source, name)
        async with AsyncExitStack() as stack:
            here, there = [
                await stack.enter_async_context(self._shards[shard].borrow())
                for shard in (source, target)
            ]
            parameters = row._asdict() | {"metadata": json.dumps(row.metadata)}
            await there.execute(statement("copy_ledger"), parameters)
            copy = await self._row(target, name)
            if copy._replace(ledger_id=row.ledger_id) != row:
                raise UnequalError(f"{target} has another ledger {name}")
            yield Copied(here, row.ledger_id), Copied(there, copy.ledger_id)

    @asynccontextmanager
    async def _alone(self, ledger: str) -> AsyncIterator[None]:
        """Of several who move one ledger, one goes on."""
        async with self._shards[DEFAULT_SHARD].borrow() as connection:
            cursor = await connection.execute(_LOCK, {"name": ledger})
            ((is_alone,),) = await cursor.fetchall()
            if not is_alone:
                raise MoveError("another command is moving it")
            try:
                yield
            finally:
                await connection.execute(_UNLOCK, {"name": ledger})

    def _check_shard(self, shard: str) -> None:
        if shard not in self._shards:
            raise MoveError(f"there is no shard {shard}")


async def _change(
    connection: Connection,
    found: Placement,
    state: State,
    other: str,
    before: Collection[str],
) -> bool:
    """Says it, if one of these was said before; whether so."""
    cursor = await connection.execute(
        statement("change_placement"),
        {
            "name": found.name,
            "request_id": found.request_id,
            "state": state,
            "shard": other,
            "first_shard": found.first_shard,
            "from_states": [str(one) for one in before],
        },
    )
    return bool(await cursor.fetchall())
