"""The native isolation: namespaces made by this program."""
