"""Candidates on a real database, and gateways as real processes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.leadership.election import CandidateSession, candidate_session
from runtime.postgres import create_engine
from tests.gateway.payments.conftest import compliance, database_url, open_shop, template, twin

__all__ = ["compliance", "database_url", "open_shop", "template", "twin"]

ROLE = "gateway_service"
OpenCandidate = Callable[[], AbstractAsyncContextManager[CandidateSession]]


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, role=ROLE, pool_size=12, application_name="test")
    yield engine
    await engine.dispose()


@pytest.fixture
def open_candidate(engine: AsyncEngine) -> OpenCandidate:
    @asynccontextmanager
    async def opened() -> AsyncIterator[CandidateSession]:
        async with candidate_session(engine) as session:
            yield session

    return opened
