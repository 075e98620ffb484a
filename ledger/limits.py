"""How much the service holds and takes at once; the tests look at its edges with smaller ones."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Not settings: nobody who runs the service has a reason to change them."""

    # Transactions and accounts in the queue of one ledger: some seconds of work.
    queued_items: int = 20_000
    # Of encoded requests; decoded they take some ten times as much memory.
    queued_bytes: int = 32 * 1024 * 1024
    # Bytes of the requests behind a page's transactions: metadata and descriptions are read from
    # them.
    page_request_bytes: int = 16 * 1024 * 1024
    # A chunk of snapshots is one short database transaction: it keeps a connection some tens of
    # milliseconds.
    snapshot_transactions: int = 2_000
    # Holds that expire in one commit: nobody waits longer for them than for that.
    expiries_per_commit: int = 1_000
    # Between two looks for holds whose time has come.
    sweep_interval_seconds: float = 1.0
    # For so long a process may go by what it has read of where ledgers are; a move waits for it.
    placement_lease_seconds: float = 2.0


LIMITS = Limits()
