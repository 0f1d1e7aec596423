"""The side-by-side measures: pybuild, BuildKit and buildah build the same contexts in turn."""
