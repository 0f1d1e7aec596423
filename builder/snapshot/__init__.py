"""A stack of layers in, a tree a process can run in out; afterwards, its changes."""
