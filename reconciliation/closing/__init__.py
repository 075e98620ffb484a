"""Closing: what of a day or a month was reconciled, said once, signed, and never changed."""
