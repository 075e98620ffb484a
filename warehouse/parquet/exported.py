"""What is exported: every table, in an order in which what is new comes last.

Rows are never changed in a warehouse, so what is behind a position is what is new. Of the ledger
the position is the sequence, of facts the number of the load that brought them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from warehouse.facts import tables
from warehouse.facts.columns import (
    EPOCH,
    LOAD_NUMBER,
    LOAD_TIME,
    SEQUENCE,
    Column,
    Kind,
    integer,
    text,
    time,
)
from warehouse.facts.tables import TABLES
from warehouse.files import loading
from warehouse.files.names import REPORT, SIGMA


@dataclass(frozen=True)
class Exported:
    """A table as it is exported."""

    name: str
    columns: tuple[Column, ...]
    # The column of the position, and with what follows it the order of rows, which is a key.
    order: tuple[str, ...]
    # By whose days, in UTC, files are partitioned.
    day_of: str
    # Whose position it is; empty for tables of the ledger, which have one for each ledger.
    source: str = ""
    # The view whose rows have sequences without gaps; empty if there is nothing to prove.
    gapless: str = ""
    # Against what its rows are proven, where neither its ledger nor its feed says.
    proven: str = "list"

    @property
    def position(self) -> str:
        """The column of the position."""
        return self.order[0]

    @property
    def is_of_ledger(self) -> bool:
        """Whether it has a position for each ledger."""
        return not self.source


LEDGER_TRANSACTION = Exported(
    name="ledger_transaction",
    columns=(
        *(text("ledger"), integer(SEQUENCE), text("kind")),
        *(time("record_time"), time("effective_time"), time("expire_time")),
        *(text("request_id"), text("reference"), integer("settles"), integer("reverses")),
        *(text("metadata"), text("exchanges"), text("leaf")),
    ),
    order=(SEQUENCE,),
    day_of="record_time",
)
LEDGER_ENTRY = Exported(
    name="ledger_entry",
    columns=(
        *(text("ledger"), integer(SEQUENCE), integer("entry_index"), text("account")),
        *(text("currency"), text("direction"), text("effect"), integer("amount_minor")),
        *(text("description"), integer("source_entry")),
        *(time("record_time"), time("effective_time")),
    ),
    order=(SEQUENCE, "entry_index"),
    day_of="record_time",
)
FACTS = tuple(
    Exported(
        name=table.name,
        columns=table.all_columns,
        order=(LOAD_NUMBER, *((EPOCH, SEQUENCE) if table.kind is Kind.CHANGES else table.key)),
        day_of=LOAD_TIME,
        source=table.source,
        gapless=(
            ""
            if table.kind is Kind.VERSIONS
            else table.view
            if table.key == (SEQUENCE,)
            else f"{table.view}_history"
        ),
    )
    for table in TABLES
)
EXPORTED = (LEDGER_TRANSACTION, LEDGER_ENTRY, *FACTS)


def exported_file_table(name: str, kind: str, headings: Sequence[str]) -> Exported:
    """A table of Stripe's files, with the columns that it has by now."""
    return Exported(
        name=name,
        columns=(*loading.OWN, *(text(heading) for heading in headings)),
        order=(loading.LOAD_NUMBER, loading.FILE_ID, loading.ROW_NUMBER),
        day_of=loading.LOAD_TIME,
        source={SIGMA: tables.SIGMA, REPORT: tables.REPORT_FILES}[kind],
        proven="file",
    )


def rows_behind(table: Exported, *, is_first: bool) -> str:
    """Rows up to a position and behind another one, or behind the last one that was read."""
    names = ", ".join(f't."{column.name}"' for column in table.columns)
    order = ", ".join(f"t.{name}" for name in table.order)
    of_ledger = "t.ledger = {ledger} AND " if table.is_of_ledger else ""
    behind = f"t.{table.position} > {{after}}" if is_first else _behind(table)
    return (
        f"SELECT {names} FROM {table.name} AS t WHERE {of_ledger}{behind}"
        f" AND t.{table.position} <= {{through}} ORDER BY {order} LIMIT {{limit}}"
    )


def _behind(table: Exported) -> str:
    """Behind a row, in the order of all columns of it."""
    cases = []
    for index, name in enumerate(table.order):
        same = [f"t.{before} = {{{before}}}" for before in table.order[:index]]
        cases.append(" AND ".join([*same, f"t.{name} > {{{name}}}"]))
    return f"({' OR '.join(f'({case})' for case in cases)})"


def gaps(table: Exported) -> str:
    """How many rows a feed has here, and the last sequence: the same if nothing is left out."""
    return f"SELECT count(*), coalesce(max(v.{SEQUENCE}), 0) FROM {table.gapless} AS v"
