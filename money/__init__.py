"""An exact amount of one currency, as every service of the engine says it on the wire."""
