"""Durable operations: written down before the outside is asked, sent, resolved, applied."""
