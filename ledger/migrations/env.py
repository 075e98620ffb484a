"""Alembic's entry point; the connection comes from `runtime.migrations.migrate`."""

from runtime.migrations import run_environment

run_environment()
