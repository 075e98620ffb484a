"""The ledger's database connections: those that read, and those that commit."""

from runtime import arrays
from runtime.connections import Connections
from runtime.database import Database

ROLE = "ledger_service"
READ_SETTINGS = {
    # Reads differ only in their parameters, and planning most of them costs more than running them.
    "plan_cache_mode": "force_generic_plan",
    # The planner expects some of them to be far longer than they are, and would compile them.
    "jit": "off",
}
COMMIT_SETTINGS = {
    # A committer waits this long for a ledger's head that another replica holds, and a replica
    # that stops in the middle loses it after as long.
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
    # The commit statement is long and takes a millisecond or two to plan, the same way each time.
    "plan_cache_mode": "force_generic_plan",
    # Compiling the checks of a large ledger would take longer than running them.
    "jit": "off",
}
# Rows are copied as text, which has to mean the same at both ends.
MOVE_SETTINGS = {"datestyle": "ISO, MDY", "bytea_output": "hex", "jit": "off"}
# The lock, two that copy, and what is looked up meanwhile.
MOVE_POOL_SIZE = 4


def read_connections(database: Database | str, size: int) -> Connections:
    """Connections for queries."""
    return Connections(
        database,
        role=ROLE,
        size=size,
        application_name="ledger-reads",
        session_settings=READ_SETTINGS,
        read_span="ledger.read",
        prepare=arrays.register,
    )


def commit_connections(database: Database | str, size: int) -> Connections:
    """Connections for committers, which plan once and wait for nobody for long."""
    return Connections(
        database,
        role=ROLE,
        size=size,
        application_name="ledger-commits",
        session_settings=COMMIT_SETTINGS,
        prepare=arrays.register,
    )


def move_connections(database: Database | str) -> Connections:
    """Connections for moving ledgers to another shard, or from there."""
    return Connections(
        database,
        role=ROLE,
        size=MOVE_POOL_SIZE,
        application_name="ledger-move",
        session_settings=MOVE_SETTINGS,
        prepare=arrays.register,
    )
