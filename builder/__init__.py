"""pybuild: Dockerfile in, OCI image out. Start reading at `builder/engine/build.py`."""

__version__ = "0.1.0"
