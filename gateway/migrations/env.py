"""Alembic's entry; the runtime does the work."""

from runtime.migrations import run_environment

run_environment()
