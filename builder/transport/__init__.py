"""The places an image lives: OCI layouts, archives, registries, root file system exports."""
