"""Containers: an image's process on a writable layer that ends with it."""
