"""Disputes: what customers object to at their bank, and how merchants answer."""
