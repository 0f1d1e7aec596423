"""Tests of the program as its users meet it: words in, exit code and text out."""
