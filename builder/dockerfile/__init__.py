"""Dockerfile text in, AST with exact source spans out; word expansion. Pure."""
