"""How late an image can have been made."""

from __future__ import annotations

MAX_EPOCH = 253_402_300_799
"""Seconds since 1970: the last of the year 9999. RFC 3339, which images write their times in, has none after it."""
