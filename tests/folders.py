"""Folders that another process may still be leaving."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_REMOVALS = 100


@contextmanager
def short_folder() -> Iterator[Path]:
    """A short path that root's `nobody` can reach, which pytest's tmp_path is not."""
    path = Path(tempfile.mkdtemp(prefix="payment-engine-"))
    try:
        yield path
    finally:
        # The guardian of an embedded server may open a lock file while we remove its folder.
        for _ in range(MAX_REMOVALS):
            shutil.rmtree(path, ignore_errors=True)
            if not path.exists():
                break
        else:
            shutil.rmtree(path)
