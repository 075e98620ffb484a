"""Payments, the corridors that they may take, and what each would have come to.

It knows nothing of the engine: what chooses corridors is a `play.Chooser`. Figures, and why they
are so: docs/corridor-simulator.md.
"""
