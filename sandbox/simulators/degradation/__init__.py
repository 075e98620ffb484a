"""Minutes of services that degrade: the world that foresight is measured in.

`world(seed)` plays 8 services for 28 days: some twenty signals a minute with seasons, traffic and
noise, faults that creep, jump or pass, and decoys. docs/foresight.md describes it.
"""

from sandbox.simulators.degradation.world import Service, World, world

__all__ = ["Service", "World", "world"]
