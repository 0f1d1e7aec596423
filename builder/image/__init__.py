"""Blobs and records in, images out: load, choose a platform, assemble, validate."""
