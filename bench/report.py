"""The table at the end of a run: what each benchmark came to, with a bar for its ratio."""

from collections.abc import Sequence
from typing import Any

BAR_CELLS = 20
HEADINGS = ("benchmark", "value", "unit", "limit", "ratio", "target", "", "share of the limit")


def table(lines: Sequence[dict[str, Any]]) -> str:
    """All lines as text in columns; a bar is full at a ratio of 1."""
    rows = [HEADINGS, *map(_row, lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _row(line: dict[str, Any]) -> tuple[str, ...]:
    return (
        line["name"],
        f"{line['value']:,}",
        line["unit"],
        f"{line['limit']:,}",
        f"{line['ratio']:.3f}",
        line.get("target", ""),
        {True: "met", False: "MISSED", None: ""}[line.get("met")],
        "█" * round(min(line["ratio"], 1.0) * BAR_CELLS),
    )
