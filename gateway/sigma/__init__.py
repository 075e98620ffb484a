"""Runs of queries that are scheduled in Stripe Sigma, and the files with their results."""
