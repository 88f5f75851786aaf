"""Tests of the exporter, its alert rules and its demonstration."""
