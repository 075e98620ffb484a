"""Run by Alembic; the connection and the lock are the runtime's."""

from runtime.migrations import run_environment

run_environment()
