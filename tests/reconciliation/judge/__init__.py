"""An independent judge of reconciliation: plays histories in the Stripe twin and its bank, injects
differences, and works out by itself what has to be matched and what has to be told of.

`history`, `expecting`, `banking` and `judging` share no code with `reconciliation/`, which a test
holds them to.
"""
