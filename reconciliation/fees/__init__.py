"""Fees: what Stripe took, against what was booked and what the operator's contract says."""
