"""Exports of a ledger: the command that makes them, and their formats."""
