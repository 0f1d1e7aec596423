"""Processes: the fork server, talking to one run, streams, privileges, signals, supervision."""
