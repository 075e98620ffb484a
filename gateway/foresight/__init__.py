"""Foresight: a corridor's degradation seen before it breaks its objective.

Everything here is pure: no gRPC, SQL, clock or network. One minute of a corridor's signals goes in
(`signals.py`), a forecast comes out (`forecast.py`), and what may be done about it (`actions.py`).
docs/foresight.md says how it works and how it is measured.
"""
