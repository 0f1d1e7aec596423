"""RUN: its mounts and what they show, the command, its output and what it left."""
