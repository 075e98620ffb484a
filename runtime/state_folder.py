"""The folder in which processes of this machine keep what nobody told them another place for.

One per user and project folder: the sandbox's databases and the key that its ledger signs with.
"""

import hashlib
import os
import tempfile
from pathlib import Path

DIRECTORY_VARIABLE = "EMBEDDED_POSTGRES_DIRECTORY"


def default_directory() -> Path:
    """Where it is; it may not exist yet."""
    if chosen := os.environ.get(DIRECTORY_VARIABLE):
        return Path(chosen)
    project = hashlib.sha256(str(Path(__file__).parent).encode()).hexdigest()[:12]
    # A home or project folder is often closed to `nobody`, and too deep for a socket's path.
    return Path("/var/tmp") / f"payment-engine-{os.getuid()}" / project  # noqa: S108


def make_private(directory: Path) -> None:
    """Makes a folder that only its owner can write to; refuses one that somebody else made."""
    if directory in (Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/")):  # noqa: S108
        return
    directory.mkdir(parents=True, exist_ok=True)
    if directory.lstat().st_uid != os.geteuid():
        raise PermissionError(f"{directory} belongs to another user")
    if directory.name.startswith("payment-engine-") or "payment-engine-" in directory.parent.name:
        # Others may pass through, which root's `nobody` must, but neither list nor write.
        directory.chmod(0o711)
