"""Rounds of transfers: made beforehand, sent against the clock, each answer checked after it."""

from bench.ledger_parts import RunningLedger
from bench.ledger_requests import (
    Pairs,
    batches,
    check_batches,
    check_creates,
    creates,
    holds_and_posts,
)
from bench.rounds import Round, send


async def one_by_one(ledger: RunningLedger, pairs: Pairs, count: int, callers: int) -> Round:
    """So many transfers, one per call."""
    taken, answers = await send(
        ledger.call("CreateTransaction"),
        creates(pairs, count),
        callers=callers,
        meter=ledger.meter,
    )
    check_creates(answers, count)
    ledger.made += count
    return taken


async def in_batches(
    ledger: RunningLedger, pairs: Pairs, count: int, size: int, callers: int
) -> Round:
    """So many batches of so many transfers each."""
    taken, answers = await send(
        ledger.call("BatchCreateTransactions"),
        batches(pairs, count, size),
        callers=callers,
        meter=ledger.meter,
        items_per_request=size,
    )
    check_batches(answers, count * size)
    ledger.made += count * size
    return taken


async def held_and_posted(ledger: RunningLedger, pairs: Pairs, count: int, callers: int) -> Round:
    """So many transfers held and, when that is answered, posted: two transactions each."""
    create, post = ledger.call("CreateTransaction"), ledger.call("PostTransaction")

    async def hold_and_post(requests: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        hold_request, post_request = requests
        return await create(hold_request), await post(post_request)

    taken, answers = await send(
        hold_and_post, holds_and_posts(pairs, count), callers=callers, meter=ledger.meter
    )
    # A post is answered in the same shape as a create.
    check_creates([answer for both in answers for answer in both], 2 * count)
    ledger.made += 2 * count
    return taken
