"""The places an image lives: sources to resolve and pull from, outputs to write to."""
