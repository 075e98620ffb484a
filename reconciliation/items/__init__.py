"""Items as they come in from their sources."""
