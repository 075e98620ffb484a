"""A real Patroni cluster loses its primary under load.

Its settings are those of `deploy/patroni`, but for a shorter loop.
`make ha` plays more, for longer. Where etcd is not installed, what has to be installed is said;
`.ci/run` installs it.
"""

import shutil
from pathlib import Path

import pytest

from tests.ha.__main__ import say
from tests.ha.events import EVENTS
from tests.ha.judging import Toll
from tests.ha.programs import MissingProgramError, etcd
from tests.ha.run import Size, play

# etcd on one node, which is enough while no node is lost.
LITTLE = Size(
    etcd=(1,),
    nats=(),
    replicas=(1,),
    loop_wait_seconds=1,
    warm={"ledger": 40, "gateway": 8, "compliance": 4},
    whole=False,
)
# What a machine that other tests run on takes beyond the limit of `make ha`.
BUSY_SECONDS = 10.0


async def test_a_killed_primary_is_replaced_and_nothing_is_lost(tmp_path: Path) -> None:
    if shutil.which("etcd") is None:
        with pytest.raises(MissingProgramError, match="apt install etcd-server"):
            etcd()
        return
    report = await play([EVENTS["postmaster-killed"]], tmp_path, say, LITTLE)
    (outcome,) = report.outcomes
    assert outcome.toll == Toll(lost=0, doubled=0)
    limit = outcome.event.limit(outcome.promoted)
    assert limit is not None
    assert {name: gap for name, gap in outcome.gaps.items() if gap > limit + BUSY_SECONDS} == {}
    # Writes did stop: it was the primary.
    assert outcome.gaps["ledger"] > 1.0
