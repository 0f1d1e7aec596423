"""The oci isolation: crun or runc runs a bundle."""
