"""Simulators: worlds with a seed in which the truth is known, so that what learns can be judged."""
