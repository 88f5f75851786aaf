"""Measurements against peers: ratios of one run, never absolute times; not part of the suite."""
