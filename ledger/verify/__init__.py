"""Checks an export of a ledger offline: `python -m ledger.verify EXPORT --key VERIFIER_KEY`.

Needs no database, no network and no gRPC; see docs/proofs.md.
"""
