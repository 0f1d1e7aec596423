"""Asking other machines by HTTP(S): patience with their sockets, redirects, proxies, and words for what went wrong."""
