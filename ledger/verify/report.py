"""What a verification found, for people."""

from ledger.verify.offline import Report
from runtime.signed_notes import VerifierKey

_HEADINGS = (
    *("currency", "accounts", "posted debits", "posted credits"),
    *("held debits", "held credits"),
)


def lines_of(report: Report, key: VerifierKey) -> list[str]:
    """The report as lines of text; amounts are minor units."""
    checkpoint = report.checkpoint
    lines = [
        f"OK  ledger {checkpoint.ledger}: the export is what the checkpoint covers",
        "",
        f"transactions  {checkpoint.tree_size:,} with {report.entries:,} entries, "
        f"{report.open_holds:,} open holds",
        f"accounts      {checkpoint.account_count:,}",
        f"root          {checkpoint.root_hash.hex()}",
        f"accounts hash {checkpoint.accounts_hash.hex()}",
        f"signed by     {key.name}+{key.key_id.hex()}",
    ]
    lines += [
        f"extends       the checkpoint of {older.tree_size:,} transactions and "
        f"{older.account_count:,} accounts"
        for older in report.older
    ]
    rows: list[tuple[str, ...]] = [_HEADINGS]
    rows += [(row[0], *(f"{number:,}" for number in row[1:])) for row in report.trial_balance]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines += ["", "Trial balance in minor units:"]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells))
    return lines
