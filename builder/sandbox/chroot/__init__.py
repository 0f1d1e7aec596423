"""The chroot isolation: no namespaces; what is lent to a run is put back afterwards."""
