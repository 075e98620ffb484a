"""Stripe's financial reports: had made for each corridor and day, and shown row by row."""
