"""Candidates on a real database, and gateways as real processes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.leadership.election import CandidateSession, candidate_session

OpenCandidate = Callable[[], AbstractAsyncContextManager[CandidateSession]]


@pytest.fixture
def open_candidate(engine: AsyncEngine) -> OpenCandidate:
    @asynccontextmanager
    async def opened() -> AsyncIterator[CandidateSession]:
        async with candidate_session(engine) as session:
            yield session

    return opened
