"""Workers begin nothing while what they write has to be on a standby and is on none."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.operations.gate import DurableGate
from gateway.operations.operation import OperationKind
from gateway.operations.runner import RunLimits, Runner
from runtime.clock import ManualClock
from runtime.durability_watch import DurabilityWatch, NotSynchronousError
from runtime.notifier import Notifier, SubjectNotifiers
from tests.gateway.running import OpenGate
from tests.runtime.test_durability import WHOLE


class ClosedGate(OpenGate):
    """Of a database that has lost something."""

    closed = True


async def test_nothing_is_claimed_that_could_be_forgotten(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = DurabilityWatch(required=True)
    gate = DurableGate(OpenGate(), watch)
    clock = ManualClock(datetime(2026, 11, 30, tzinfo=UTC))
    runner = Runner(engine, {}, clock, RunLimits(), SubjectNotifiers(), Notifier(), gate)
    claims = 0

    async def claim(*_asked: object) -> list[OperationKind]:
        nonlocal claims
        claims += 1
        return []

    monkeypatch.setattr("gateway.operations.runner.store.claim", claim)
    await runner.round()
    assert claims == 0
    with pytest.raises(NotSynchronousError):
        gate.check()
    watch.looked("a", WHOLE)
    gate.check()
    await runner.round()
    assert claims == 1
    watch.looked("a", replace(WHOLE, synchronous_commit="off"))
    await runner.round()
    assert claims == 1
    watch.looked("a", WHOLE)
    assert DurableGate(ClosedGate(), watch).closed
