"""The network that the RUNs of a build share."""
