"""COPY, ADD and WORKDIR: what is selected, its digests for the key, the entries of the layer."""
