"""Payments in PostgreSQL: tables, rows, group commit, the stream of changes."""
