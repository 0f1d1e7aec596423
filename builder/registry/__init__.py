"""The distribution protocol: addresses, credentials, tokens, manifests and blobs (distribution-spec v1.1)."""
