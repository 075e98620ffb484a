"""Policies: which version is in force, and what each said."""
