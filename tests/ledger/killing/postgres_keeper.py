"""Keeps a PostgreSQL server running for as long as this process does.

    python -m tests.ledger.killing.postgres_keeper DIRECTORY [--without-fsync]

A process of its own, because starting the server under another user takes a fork, which a test's
process, full of gRPC's threads, does not always survive. The folder goes with the last keeper.
"""

import signal
import sys
from pathlib import Path

from runtime.command_line import command_parser
from sandbox.embedded_postgres import EmbeddedPostgres

WITHOUT_FSYNC = "--without-fsync"


def main() -> None:
    parser = command_parser("tests.ledger.killing.postgres_keeper", __doc__ or "")
    parser.add_argument("directory", type=Path, metavar="DIRECTORY")
    parser.add_argument(WITHOUT_FSYNC, action="store_true")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    # Only a crash of the machine would miss it.
    server = EmbeddedPostgres(asked.directory, durable=not asked.without_fsync, keep=False)
    server.open()
    try:
        signal.pause()
    finally:
        server.close()


if __name__ == "__main__":
    main()
