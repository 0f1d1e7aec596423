"""What tests of several rooms stand on: a registry to script, images to pull, the real peers."""
