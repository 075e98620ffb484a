"""The key that signs checkpoints: `python -m ledger.keys NAME` makes a pair.

It prints two lines, the signer key, which is a secret, and the verifier key, which is for
everybody; with `--out FILE` the first goes to a file that only its owner can read. `--show` prints
the verifier key of the service as it is set up on this machine, and makes nothing outside the
sandbox.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ledger.config import LedgerSettings
from ledger.notes import NoteError, SignerKey
from runtime.command_line import command_parser
from runtime.config import SettingsError, read_settings
from runtime.state_folder import default_directory, make_private

SANDBOX_KEY_NAME = "ledger-sandbox"
SANDBOX_KEY_FILE = "ledger-signing.key"
EXIT_USAGE = 2


def signing_key(settings: LedgerSettings) -> SignerKey:
    """The key of the settings; in the sandbox, where there may be none, the machine's own."""
    if settings.signing_key is not None:
        return SignerKey.parse(settings.signing_key.get_secret_value())
    directory = default_directory()
    make_private(directory.parent)
    make_private(directory)
    return kept_key(directory / SANDBOX_KEY_FILE, SANDBOX_KEY_NAME)


def kept_key(path: Path, name: str) -> SignerKey:
    """The key of a file, which is made when it is missing; the first process to do so wins."""
    if not path.exists():
        write_key(path, SignerKey.generate(name))
    return SignerKey.parse(path.read_text(encoding="utf-8").strip())


def write_key(path: Path, key: SignerKey) -> bool:
    """Writes the signer key for its owner alone, whole or not at all; False if a file is there."""
    # mkstemp gives it mode 0600.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{key.secret_text()}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    finally:
        Path(temporary).unlink()
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes a pair; gives the exit code."""
    parser = command_parser("ledger.keys", "Makes a key pair that checkpoints are signed with.")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("name", nargs="?", help="the key's name, for example ledger.example.com")
    wanted.add_argument(
        "--show", action="store_true", help="print the verifier key of this machine's settings"
    )
    parser.add_argument("--out", type=Path, help="a new file for the signer key, mode 0600")
    asked = parser.parse_args(arguments)
    try:
        if asked.show:
            print(signing_key(read_settings(LedgerSettings)).verifier)
            return 0
        key = SignerKey.generate(asked.name)
    except (NoteError, SettingsError) as error:
        print(f"ledger.keys: {error}", file=sys.stderr)
        return EXIT_USAGE
    if asked.out is None:
        print(key.secret_text())
    elif not write_key(asked.out, key):
        print(f"ledger.keys: {asked.out} is there already", file=sys.stderr)
        return EXIT_USAGE
    print(key.verifier)
    return 0


if __name__ == "__main__":
    sys.exit(main())
