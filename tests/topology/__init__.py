"""Tests of what is found on a host."""
