"""The key that signs checkpoints: `python -m ledger.keys NAME` makes a pair, `--show` prints the
verifier key of the service as it is set up on this machine."""

import sys
from collections.abc import Sequence

from ledger.config import LedgerSettings
from runtime.signing_keys import Signing, run_keys

SIGNING = Signing(service="ledger", signs="checkpoints")


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes a pair, or shows the key there is; gives the exit code."""
    return run_keys(SIGNING, LedgerSettings, arguments)


if __name__ == "__main__":
    sys.exit(main())
