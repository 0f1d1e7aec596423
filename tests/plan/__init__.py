"""The planner: Dockerfiles in, steps, config and history out."""
