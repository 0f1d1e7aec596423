"""Tests of builder/context."""
