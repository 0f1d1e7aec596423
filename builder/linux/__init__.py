"""System calls. The only ctypes in the house; raises OSError."""
