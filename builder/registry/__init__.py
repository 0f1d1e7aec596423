"""The distribution protocol: authentication, manifests, blobs."""
