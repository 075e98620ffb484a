"""Statements of the operator's bank accounts: taken, kept whole, and judged as a chain."""
