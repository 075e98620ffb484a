"""Adjusting: the difference of a break is posted in the ledger, once, and completes its match."""
