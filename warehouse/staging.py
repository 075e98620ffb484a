"""Whether leaves that were read are those that were asked for. Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from warehouse.sink import LoadRefusedError, Span


class Staged(NamedTuple):
    """What the leaves say of themselves, in the order of `sql/staged.sql`."""

    leaves: int
    sequences: int
    first: int
    last: int
    first_ledger: str
    last_ledger: str


def check_staged(span: Span, row: Sequence[Any]) -> None:
    """Raises `LoadRefusedError` unless each transaction of the span is there once."""
    staged = Staged(*row)
    first, last = span.after.sequence + 1, span.through.sequence
    if (staged.leaves, staged.sequences) != (len(span.leaves), len(span.leaves)):
        raise LoadRefusedError(
            f"of {len(span.leaves)} leaves {staged.leaves} were read, {staged.sequences} of them"
            " transactions of their own"
        )
    if (staged.first, staged.last) != (first, last):
        raise LoadRefusedError(
            f"the leaves are those of {staged.first} to {staged.last}, not of {first} to {last}"
        )
    if (staged.first_ledger, staged.last_ledger) != (span.ledger, span.ledger):
        raise LoadRefusedError("the leaves are those of another ledger")
