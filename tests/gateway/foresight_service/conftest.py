"""A leader before the first minute of the course."""

from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from runtime.clock import ManualClock
from tests.gateway.foresight_service.course import FIRST, Leader


@pytest.fixture
def leader(engine: AsyncEngine) -> Leader:
    return Leader(engine, ManualClock(datetime.fromtimestamp(FIRST * 60, UTC)))
