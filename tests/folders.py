"""Folders with short paths."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.guardian import temporary_folder


@contextmanager
def short_folder() -> Iterator[Path]:
    """A short path that root's `nobody` can reach, which pytest's tmp_path is not."""
    with temporary_folder() as folder:
        yield folder.path
