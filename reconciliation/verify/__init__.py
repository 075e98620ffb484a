"""Checks exported statements offline: `python -m reconciliation.verify EXPORT --key VERIFIER_KEY`.

Needs no database, no network and no gRPC; see docs/closing.md.
"""
