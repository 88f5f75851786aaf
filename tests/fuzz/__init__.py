"""Dialects fed with bytes that a coverage-guided fuzzer makes up."""
