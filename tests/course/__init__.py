"""Courses on container images, run as the classes run them."""
