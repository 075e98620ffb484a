"""Parquet is an extra: its package takes 166 MB, and no service needs it."""

import importlib

PARQUET_PACKAGE = "pyarrow"
# Where a file of a table begins a new one; see `ledger.export.parquet`.
PART_TRANSACTIONS = 100_000
MISSING = (
    "Parquet needs the package pyarrow, which is an extra: install requirements-export.lock,"
    " or build the image with --build-arg LOCK=requirements-export.lock"
)


def has_parquet() -> bool:
    """Whether Parquet can be read and written here; `MISSING` says what to do where it cannot."""
    try:
        importlib.import_module(PARQUET_PACKAGE)
    except ModuleNotFoundError:
        return False
    return True
