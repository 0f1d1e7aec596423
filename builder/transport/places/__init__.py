"""The places that images come from and go to: each a source, a destination, or both."""
