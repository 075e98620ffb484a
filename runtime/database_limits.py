"""How long a process waits for its database, and in which words settings say so."""

from dataclasses import dataclass

# Libpq takes less for this much.
MIN_CONNECT_SECONDS = 2


@dataclass(frozen=True, slots=True)
class DatabaseLimits:
    """What is waited for at most; settings of every service."""

    # To connect to one host.
    connect_seconds: int = MIN_CONNECT_SECONDS
    # For a small commit, before the database is not well and another primary is looked for.
    stall_seconds: float = 2.0
    # For an answer on a session while the database answers others.
    answer_seconds: float = 60.0
