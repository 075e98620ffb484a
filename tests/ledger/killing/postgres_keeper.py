"""Keeps a PostgreSQL server running for as long as this process does.

    python -m tests.ledger.killing.postgres_keeper DIRECTORY [--without-fsync]

A process of its own, because starting the server under another user takes a fork, which a test's
process, full of gRPC's threads, does not always survive. The folder goes with the last keeper.
"""

import signal
import sys
from pathlib import Path

from sandbox.embedded_postgres import EmbeddedPostgres

WITHOUT_FSYNC = "--without-fsync"


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    # Only a crash of the machine would miss it.
    durable = WITHOUT_FSYNC not in sys.argv[2:]
    server = EmbeddedPostgres(Path(sys.argv[1]), durable=durable, keep=False)
    server.open()
    try:
        signal.pause()
    finally:
        server.close()


if __name__ == "__main__":
    main()
