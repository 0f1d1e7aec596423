"""Differential builds: every case of fixtures/builds/, compared with what the peers make of it."""
