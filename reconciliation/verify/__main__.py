"""`python -m reconciliation.verify EXPORT --key VERIFIER_KEY`.

Exits with 0 if all is right, 1 with the first thing that is wrong, 2 if it can't be asked that way.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from reconciliation.matching.item import Source
from reconciliation.verify.offline import Finding, Report, verify
from runtime.command_line import command_parser
from runtime.signed_notes import NoteError, given_verifier_key

EXIT_WRONG = 1
EXIT_USAGE = 2
_OF_STRIPE = {Source.STRIPE: "balance transactions", Source.PAYOUT: "payouts"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Verifies and reports; gives the exit code."""
    parser = command_parser(
        "reconciliation.verify", "Checks exported statements of closed periods, offline."
    )
    parser.add_argument("export", type=Path, help="the folder with the export")
    parser.add_argument("--key", required=True, help="the verifier key, or a file with it")
    asked = parser.parse_args(arguments)
    try:
        report = verify(asked.export, given_verifier_key(asked.key))
    except NoteError as error:
        print(f"reconciliation.verify: --key: {error}", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        print(f"reconciliation.verify: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_USAGE
    except Finding as finding:
        print(f"WRONG  {finding}")
        return EXIT_WRONG
    print("\n".join(_said(report)))
    return 0


def _said(report: Report) -> Iterator[str]:
    """What is proven, and what is not."""
    first, last = report.statements[0], report.statements[-1]
    items = sum(each.item_count for each in report.statements)
    matches = sum(each.match_count for each in report.statements)
    yield f"OK  {len(report.statements)} closed periods of {first.ledger}"
    yield ""
    yield f"proven      closings 1 to {last.closing_number} are signed and follow one another"
    yield f"proven      {items:,} items and {matches:,} matches are those of the statements' roots"
    yield "proven      the two sides of each match are equal in each currency"
    yield "proven      counts and sums are those of the items"
    if report.has_log:
        yield f"proven      {report.ledger_items:,} items are what the ledger's log says"
        yield "not proven  that the log is right in itself: python -m ledger.verify"
    else:
        yield "not proven  that items of the ledger are in its log: export it to the folder ledger"
    for source, what in _OF_STRIPE.items():
        if count := report.found.proven[source]:
            yield f"proven      {count:,} {what} are what the gateway's bytes of them say"
        if count := report.found.without_bytes[source]:
            yield f"not proven  {count:,} {what}: their bytes were not kept yet"
    if report.found.other_days:
        yield f"not proven  the book day of {report.found.other_days:,} of them, which moved since"
    if report.found.bank_files:
        yield f"proven      {report.found.bank_files:,} files of banks are those that were taken"
    if count := report.found.proven[Source.BANK]:
        yield f"proven      {count:,} lines of banks are what these files say"
    if count := report.found.without_bytes[Source.BANK]:
        yield f"not proven  {count:,} lines of banks: how their files were read was not kept yet"
    yield "not proven  that Stripe and the banks said the truth, and that nothing else was said"


if __name__ == "__main__":
    sys.exit(main())
