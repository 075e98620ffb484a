"""`python -m sandbox`: up, demo, certificates, credentials."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from runtime.command_line import command_parser


def main() -> None:
    """Reads the command line and runs one command."""
    parser = command_parser("sandbox", "The whole engine on one machine, without accounts.")
    commands = parser.add_subparsers(dest="command", required=True)
    up_parser = commands.add_parser(
        "up", help="start the whole engine and leave it running", allow_abbrev=False
    )
    up_parser.add_argument(
        "--free-ports", action="store_true", help="take ports that are free, not the usual ones"
    )
    commands.add_parser("demo", help="take payments in eleven ways, show the books, stop")
    certificates = commands.add_parser(
        "certificates",
        help="make a development CA and certificates for mutual TLS",
        allow_abbrev=False,
    )
    certificates.add_argument("directory", type=Path)
    certificates.add_argument(
        "--name", action="append", default=[], help="another client's name; may be repeated"
    )
    credentials = commands.add_parser(
        "credentials",
        help="make what the parts of docker-compose.yml know each other by, a folder for each",
        allow_abbrev=False,
    )
    credentials.add_argument("directory", type=Path)
    credentials.add_argument(
        "--database-host", default="postgres", help="that of the URLs; several as a:5432,b:5432"
    )
    arguments = parser.parse_args()
    # Imported only when needed: the image that makes credentials has neither rich nor PostgreSQL.
    match arguments.command:
        case "up":
            from sandbox import up

            up.main(free_ports=arguments.free_ports)
        case "demo":
            from sandbox.demo import run

            run.main()
        case "certificates":
            from sandbox.certificates import NAMES, make_certificates

            names = dict.fromkeys((*NAMES, *arguments.name))
            made = make_certificates(arguments.directory, datetime.now(UTC), names)
            print(f"{arguments.directory}: certificates for {', '.join(made)}", file=sys.stderr)
        case "credentials":
            from sandbox.credentials import make_credentials

            host = arguments.database_host
            for folder in make_credentials(arguments.directory, datetime.now(UTC), host):
                print(folder, file=sys.stderr)


if __name__ == "__main__":
    main()
