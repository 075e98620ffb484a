"""Checks: from facts to a verdict, and from a verdict to the decision log."""
