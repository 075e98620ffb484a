"""The key that a service signs statements with: `python -m <service>.keys NAME` makes a pair.

It prints two lines, the signer key, which is a secret, and the verifier key, which is for
everybody; with `--out FILE` the first goes to a file that only its owner can read. `--show` prints
the verifier key of the service as it is set up on this machine, and makes nothing: a key that was
made to be shown would have signed nothing.
"""

import errno
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from runtime.command_line import command_parser
from runtime.config import ServiceSettings
from runtime.read_settings import SettingsError, read_settings
from runtime.signed_notes import NoteError, SignerKey
from runtime.state_folder import default_directory, make_private

EXIT_NO_KEY = 1
EXIT_USAGE = 2


class NoKeyError(Exception):
    """There is no key yet; the message says where it would be and what makes it."""


class SigningSettings(Protocol):
    """Settings of a service that signs."""

    @property
    def signing_key(self) -> SecretStr | None:
        """A signer key; none in the sandbox, where each machine makes its own."""
        ...

    def variable(self, field: str) -> str:
        """What the setting is called."""
        ...


@dataclass(frozen=True)
class Signing:
    """What a service signs with, and what its command says of that."""

    service: str
    signs: str

    @property
    def sandbox_key_file(self) -> Path:
        """Where the sandbox's key is, or will be."""
        return default_directory() / f"{self.service}-signing.key"

    def key(self, settings: SigningSettings) -> SignerKey:
        """The key to sign with: of the settings; in the sandbox, which may have none, the machine's
        own, made here when it is missing."""
        if settings.signing_key is not None:
            return SignerKey.parse(settings.signing_key.get_secret_value())
        path = self.sandbox_key_file
        make_private(path.parent.parent)
        make_private(path.parent)
        return kept_key(path, f"{self.service}-sandbox")

    def existing_key(self, settings: SigningSettings) -> SignerKey:
        """The key that `key` gives, if there is one by now; writes nothing.

        Raises `NoKeyError`, `NoteError` for a file that holds no key, `OSError` for one that cannot
        be read.
        """
        if settings.signing_key is not None:
            return SignerKey.parse(settings.signing_key.get_secret_value())
        path = self.sandbox_key_file
        try:
            return SignerKey.parse(path.read_text(encoding="utf-8", errors="replace").strip())
        except NoteError as error:
            raise NoteError(f"{path}: {error}") from None
        except FileNotFoundError:
            raise NoKeyError(
                f"no key yet: {settings.variable('signing_key')} is not set, and the sandbox's"
                f" {self.service}, which makes {path} when it starts, has not run on this machine"
            ) from None


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


def run_keys(
    signing: Signing, settings: type[ServiceSettings], arguments: Sequence[str] | None
) -> int:
    """The command of a service: makes a pair, or shows the key there is; gives the exit code."""
    command = f"{signing.service}.keys"
    parser = command_parser(command, f"Makes a key pair that {signing.signs} are signed with.")
    wanted = parser.add_mutually_exclusive_group(required=True)
    example = f"the key's name, for example {signing.service}.example.com"
    wanted.add_argument("name", nargs="?", help=example)
    wanted.add_argument(
        "--show",
        action="store_true",
        help="print the verifier key of this machine's settings; exits with 1 if there is none",
    )
    parser.add_argument("--out", type=Path, help="a new file for the signer key, mode 0600")
    asked = parser.parse_args(arguments)
    if asked.show and asked.out is not None:
        parser.error("argument --out: not allowed with argument --show")

    def fail(message: str, status: int) -> int:
        print(f"{command}: {message}", file=sys.stderr)
        return status

    try:
        if asked.show:
            read: SigningSettings = read_settings(settings)  # type: ignore[assignment]
            print(signing.existing_key(read).verifier)
        else:
            _make(asked.name, asked.out)
    except NoKeyError as error:
        return fail(str(error), EXIT_NO_KEY)
    except (NoteError, SettingsError) as error:
        return fail(str(error), EXIT_USAGE)
    except OSError as error:
        return fail(f"{asked.out or error.filename}: {error.strerror}", EXIT_USAGE)
    return 0


def _make(name: str, out: Path | None) -> None:
    key = SignerKey.generate(name)
    if out is None:
        print(key.secret_text())
    elif not write_key(out, key):
        raise FileExistsError(errno.EEXIST, "is there already", str(out))
    print(key.verifier)
