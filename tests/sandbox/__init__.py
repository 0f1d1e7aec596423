"""Tests of running one process in one root."""
