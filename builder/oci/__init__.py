"""The vocabulary: digests, media types, platforms, manifests, configs, references. Values only, pure."""
