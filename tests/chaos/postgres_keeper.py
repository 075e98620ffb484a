"""Keeps a PostgreSQL server running for as long as this process does.

    python -m tests.chaos.postgres_keeper DIRECTORY

Without fsync, which only a crash of the machine would miss: here processes crash.
"""

import signal
import sys
from pathlib import Path

from runtime.embedded_postgres import EmbeddedPostgres


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    server = EmbeddedPostgres(Path(sys.argv[1]), durable=False, keep=False)
    server.open()
    try:
        signal.pause()
    finally:
        server.close()


if __name__ == "__main__":
    main()
