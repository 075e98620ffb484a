"""Random histories of the real service over a real socket, each answer compared with the model's.

`--hypothesis-seed=N` repeats a run; a failure prints the number and the history.
"""

import itertools
import secrets
from collections.abc import Sequence

import grpc
import pytest

from ledger.__main__ import open_service
from ledger.limits import Limits
from runtime.clock import ManualClock
from tests.ledger.running import settings_for
from tests.ledger.stateful.playing import Play
from tests.ledger.stateful.searching import STEPS_OF_HISTORY, search
from tests.ledger.stateful.steps import Step

# Items that pytest-xdist can spread over its workers, and what each of them has to play.
PARTS = 8
HISTORIES_OF_PART = 50
MIN_STEPS_IN_ALL = 20_000
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
    still = Limits(sweep_interval_seconds=86_400.0)
    names = itertools.count(1)
    steps = 0

    async def play(history: Sequence[Step]) -> None:
        nonlocal steps
        playing = Play(channel, clock, f"history-{next(names)}")
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
    assert steps * PARTS >= MIN_STEPS_IN_ALL
