"""Blobs by digest, names, cache records, locks: an OCI image layout and one SQLite file."""
