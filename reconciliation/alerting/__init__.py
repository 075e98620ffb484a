"""Alerting: what happens to breaks is told outside, by webhook and by e-mail."""
