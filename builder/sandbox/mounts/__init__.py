"""What is mounted into the root of a run: the root itself, /dev, /proc and /sys, the mounts of its spec."""
