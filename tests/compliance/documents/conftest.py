"""A compliance service that takes documents, with a clamd that answers as it is told."""

from collections.abc import AsyncIterator

import pytest

from tests.compliance.clamd_server import ScriptedClamd, scripted_clamd
from tests.compliance.conftest import OpenGuard
from tests.compliance.documents.handing_in import ROUND_SECONDS
from tests.compliance.guard import Guard
from tests.compliance.test_document_rules import KEY


@pytest.fixture
async def clamd() -> AsyncIterator[ScriptedClamd]:
    async with scripted_clamd() as opened:
        yield opened


@pytest.fixture
async def guard(open_guard: OpenGuard, clamd: ScriptedClamd) -> AsyncIterator[Guard]:
    """A service that looks for what is due again and again, by a clock that stands."""
    async with open_guard(
        document_keys=KEY,
        clamd_address=f"127.0.0.1:{clamd.port}",
        document_interval_seconds=ROUND_SECONDS,
    ) as opened:
        yield opened
