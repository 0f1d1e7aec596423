"""Tests of builder/web/ and builder/web/address.py, against servers that mean harm."""
