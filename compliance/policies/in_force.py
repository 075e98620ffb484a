"""The policy that this process decides by."""

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.checks.policy import Policy
from compliance.policies.store import active_policy, active_version
from runtime.logs import get_logger
from runtime.loops import Loop

POLL_SECONDS = 1.0

log = get_logger(__name__)


class PolicyInForce:
    """Follows what any process brings into force."""

    def __init__(self, engine: AsyncEngine, policy: Policy) -> None:
        self._engine = engine
        self.policy = policy

    async def refresh(self) -> None:
        """Reads what is in force now."""
        async with self._engine.connect() as connection:
            # A version's document never changes.
            if await active_version(connection) == self.policy.version:
                return
            self.policy = await active_policy(connection)
        log.info("policy_in_force", policy_version=self.policy.version)

    def loop(self) -> Loop:
        """Looks every second."""

        async def look() -> bool:
            await self.refresh()
            return False

        return Loop("policy in force", look, poll_seconds=POLL_SECONDS, rests_first=True)
