"""A database that has lost its last commits: noticed, nothing begun on it, made whole again."""
