"""The command as a process that kills itself while it keeps what it has loaded.

    python -m tests.warehouse.dying PLACE AT before|after ARGUMENTS…

PLACE is what keeps: `ledger-duckdb` and `ledger-postgres` a load of the ledger, `facts` one of a
source, `manifest` an export. AT says which time it dies, counted from 1, and then whether that is
before the thing is kept or after it.
"""

import os
import signal
import sys
from argparse import REMAINDER
from typing import Any, NoReturn

from runtime.command_line import command_parser
from warehouse.__main__ import main
from warehouse.duckdb_sink import DuckDbLoad
from warehouse.facts.sink import FactLoad
from warehouse.parquet.places import Folder
from warehouse.postgres_sink import PostgresLoad

LOADS: dict[str, Any] = {
    "ledger-duckdb": DuckDbLoad,
    "ledger-postgres": PostgresLoad,
    "facts": FactLoad,
}
MANIFEST = "manifest"


def die_in_load(load: Any, at: int, *, late: bool) -> None:
    """Dies at that call of `keep`."""
    keep, calls = load.keep, 0

    def dying(self: Any, *given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < at:
            return keep(self, *given)
        if late:
            keep(self, *given)
        die()

    load.keep = dying


def die_in_manifest(at: int, *, late: bool) -> None:
    """Dies at that manifest; a folder's other files are written."""
    put, calls = Folder.put, 0

    async def dying(self: Folder, name: str, content: bytes) -> bool:
        nonlocal calls
        calls += name.startswith("manifests/")
        if calls < at:
            return await put(self, name, content)
        if late:
            await put(self, name, content)
        die()

    Folder.put = dying  # type: ignore[method-assign]


def die() -> NoReturn:
    """Nothing more is said or written."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("the process is dead")


if __name__ == "__main__":
    parser = command_parser("tests.warehouse.dying", __doc__ or "")
    parser.add_argument("place", choices=[*LOADS, MANIFEST])
    parser.add_argument("at", type=int)
    parser.add_argument("when", choices=["before", "after"])
    parser.add_argument("arguments", nargs=REMAINDER)
    given = parser.parse_args()
    if given.place == MANIFEST:
        die_in_manifest(given.at, late=given.when == "after")
    else:
        die_in_load(LOADS[given.place], given.at, late=given.when == "after")
    sys.exit(main(given.arguments))
