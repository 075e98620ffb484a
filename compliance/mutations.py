"""Where compliance keeps its mutations, and how it checks the ids of their requests."""

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.errors import ERRORS
from compliance.tables import MUTATION
from compliance.validation import VALIDATOR
from runtime.clock import Clock
from runtime.idempotency import RequestIds
from runtime.mutations import Mutations

REQUEST_IDS = RequestIds(ERRORS, VALIDATOR)


def open_mutations(engine: AsyncEngine, clock: Clock) -> Mutations:
    """Mutations of the compliance service."""
    return Mutations(engine, MUTATION, REQUEST_IDS, clock)
