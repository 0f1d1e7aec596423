"""Tests of builder/web/ and builder/address.py, against servers that mean harm."""
