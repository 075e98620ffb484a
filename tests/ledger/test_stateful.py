"""Random histories of the real service over a real socket, each answer compared with the model's.

`--hypothesis-seed=N` repeats a run; a failure prints the number and the history. Over two
thousand steps are played, or as many as HISTORIES_OF_PART says: with 50 they are twenty thousand.
"""

import itertools
import os
import secrets
from collections.abc import Sequence

import grpc
import pytest

from ledger.__main__ import open_service
from ledger.limits import Limits
from runtime.clock import ManualClock
from tests.ledger.running import serving, settings_for
from tests.ledger.stateful.accounts import ACCOUNTS
from tests.ledger.stateful.playing import Play
from tests.ledger.stateful.searching import STEPS_OF_HISTORY, search
from tests.ledger.stateful.steps import SECOND_US, Batch, Create, Group, Read, Step, Wait

# Items that pytest-xdist can spread over its workers, and what each of them has to play.
PARTS = 8
HISTORIES_OF_PART = int(os.environ.get("HISTORIES_OF_PART", "6"))
MAX_EXPIRIES = 2
# As in production: each history has a ledger of its own, and all of them are sealed.
SEAL_INTERVAL_MS = 1_000


# Hypothesis draws in a thread of its own, while the service's own tasks may use `random`.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@pytest.mark.timeout(400)
@pytest.mark.parametrize("part", range(PARTS))
async def test_the_service_answers_as_the_model_does(
    part: int,
    url: str,
    clock: ManualClock,
    request: pytest.FixtureRequest,
) -> None:
    # The clock moves only where a step says so, and nothing but a step has holds expired.
    # So few expiries fit a commit that a handful of holds plays what thousands do.
    expiries = 1 + part % MAX_EXPIRIES
    still = Limits(sweep_interval_seconds=86_400.0, expiries_per_commit=expiries)
    names = itertools.count(1)
    steps = 0

    async def play(history: Sequence[Step]) -> None:
        nonlocal steps
        playing = Play(channel, clock, f"history-{next(names)}", expiries)
        await playing.all_of(history)
        steps += playing.steps

    given_seed = request.config.getoption("--hypothesis-seed")
    seed = int(given_seed) if given_seed is not None else secrets.randbelow(2**31)
    replay = f"part {part}; to repeat it: --hypothesis-seed={seed}"
    print(replay)
    async with (
        open_service(settings_for(url, seal_interval_ms=SEAL_INTERVAL_MS), clock, still) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        try:
            await search(play, seed * PARTS + part, HISTORIES_OF_PART)
        except BaseException as error:
            error.add_note(replay)
            raise
    assert steps >= HISTORIES_OF_PART * STEPS_OF_HISTORY


# What falls due together in one history: two commits' worth and more.
EXPIRIES_PER_COMMIT = 400
HOLDS_TOGETHER = 840
A_HOLD = Create((Group("EUR", True, 2, ((0, 1),)),), pending=True, expires_in_us=SECOND_US)
PAY_OUT = Create((Group("EUR", True, 3, ((0, 299),)),))
HUNDREDS: tuple[Step, ...] = (
    Batch((A_HOLD,) * HOLDS_TOGETHER, atomic=False, own_ids=False, summary=True),
    Wait(SECOND_US),
    Read("balance", 2, "now"),
    # Before most of it is recorded.
    PAY_OUT,
    Read("prefix", 1, "sequence", 400),
    Read("prefix", 1, "sequence", 1),
    Read("prefix", 3, "record_time", 0),
    Read("prefix", 3, "record_time", 1),
)


async def test_hundreds_of_holds_due_together(url: str, clock: ManualClock) -> None:
    still = Limits(sweep_interval_seconds=86_400.0, expiries_per_commit=EXPIRIES_PER_COMMIT)
    async with serving(url, clock, still) as served:
        play = Play(served.channel, clock, "hundreds", still.expiries_per_commit)
        await play.all_of(HUNDREDS)


# A read closes its moment before it finds that there is no such account, so that what falls due
# in the next microsecond is due now.
NOBODY = len(ACCOUNTS)
REFUSED_STATEMENT: tuple[Step, ...] = (
    Create((Group("EUR", True, 2, ((0, 1),)),), pending=True, expires_in_us=1),
    Read("statement", NOBODY, "record_time", 1, flag=True),
    PAY_OUT,
)


async def test_a_refused_statement_closes_its_moment(url: str, clock: ManualClock) -> None:
    still = Limits(sweep_interval_seconds=86_400.0)
    async with serving(url, clock, still) as served:
        play = Play(served.channel, clock, "refused", still.expiries_per_commit)
        await play.all_of(REFUSED_STATEMENT)
