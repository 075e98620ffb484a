"""Foresight in the running gateway: what processes see of corridors is gathered each minute, one
leader foresees from it and says how corridors are treated, and every process follows."""
