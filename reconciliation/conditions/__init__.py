"""Conditions: breaks that are not of items, such as a statement that is missing."""
