"""A plan in, layers out: cache keys and records, one file per kind of step, events."""
