"""Tests of the system call bindings."""
