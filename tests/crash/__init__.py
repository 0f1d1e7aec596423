"""Tests of builds that are interrupted, killed, or at work beside others in the same store."""
