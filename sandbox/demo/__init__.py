"""Payments that go eleven ways, on the running engine, and the books afterwards."""
