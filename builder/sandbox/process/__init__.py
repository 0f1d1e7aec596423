"""Processes: the fork server, the channel and request of one run, streams, privileges, signals, supervision."""
