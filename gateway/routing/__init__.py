"""Which of the corridors that a payment may use it should use: docs/routing.md.

Pure rules: no gRPC, SQL, clock or global state. A caller brings the time, the state and the seed.
"""
