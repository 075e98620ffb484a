"""Measurements: each prints a figure and its ratio to a limit measured in the same run."""
