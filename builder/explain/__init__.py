"""Layers and build records in, tables a person can read out."""
