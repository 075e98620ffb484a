"""Payments that go ten ways, on the running engine, and the books afterwards."""
