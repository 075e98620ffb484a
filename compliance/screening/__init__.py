"""Screening: sanctions lists, names that are alike, and what was decided of them."""
