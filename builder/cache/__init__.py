"""Caches of build results: the protocol that the solver knows, and what keeps records behind it."""
