"""One process in one root: the specification, and the ways to run it."""
