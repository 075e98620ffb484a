"""Payments that go nine ways, on the running engine, and the books afterwards."""
