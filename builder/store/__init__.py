"""The local store: an OCI image layout with a database beside it; safe to share, safe to kill."""
