"""Work that one process at a time does for all: who does it is elected in PostgreSQL."""
