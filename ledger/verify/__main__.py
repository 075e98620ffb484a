"""`python -m ledger.verify EXPORT --key VERIFIER_KEY [--after OLDER.note]`.

Exits with 0 if all is right, 1 with the first thing that is wrong, 2 if it can't be asked that way.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ledger.verify.finding import Finding, UnusableError
from ledger.verify.offline import verify
from ledger.verify.report import lines_of
from runtime.command_line import command_parser
from runtime.signed_notes import NoteError, given_verifier_key

EXIT_WRONG = 1
EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Verifies and reports; gives the exit code."""
    parser = command_parser(
        "ledger.verify", "Checks an export of a ledger against its signed checkpoint, offline."
    )
    parser.add_argument("export", type=Path, help="the folder with the export")
    parser.add_argument("--key", required=True, help="the verifier key, or a file with it")
    parser.add_argument(
        "--after",
        action="append",
        default=[],
        type=Path,
        metavar="NOTE",
        help="an older checkpoint that the export has to extend; may be repeated",
    )
    asked = parser.parse_args(arguments)
    try:
        key = given_verifier_key(asked.key)
        report = verify(asked.export, key, asked.after, _tell)
    except NoteError as error:
        print(f"ledger.verify: --key: {error}", file=sys.stderr)
        return EXIT_USAGE
    except UnusableError as error:
        print(f"ledger.verify: {error}", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        print(f"ledger.verify: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_USAGE
    except Finding as finding:
        print(f"WRONG  {finding}")
        return EXIT_WRONG
    print("\n".join(lines_of(report, key)))
    return 0


def _tell(progress: str) -> None:
    print(progress, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
