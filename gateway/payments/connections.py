"""The connections that group commit writes on, beside the engine's pool."""

from gateway.payments.committer import MAX_COMMITS
from runtime.connections import Connections

SETTINGS = {
    # The statement takes milliseconds to plan, the same way each time; the planner knows neither
    # how few rows a part has nor how large the tables will be.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    # It waits for nobody but another writer of the same request_id, and not for ever.
    "lock_timeout": "5s",
}


def commit_connections(url: str, role: str) -> Connections:
    """One for each transaction that may be under way."""
    return Connections(
        url,
        role=role,
        size=MAX_COMMITS,
        application_name="gateway-commits",
        session_settings=SETTINGS,
    )
