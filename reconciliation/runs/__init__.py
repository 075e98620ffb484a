"""Matching runs: what is new is compared with what it is linked to, in bounded batches."""
