"""The facts beside the ledger: payments, balance transactions, payouts, breaks, decisions."""
