"""Tests of what projects declare and virtualenvs hold."""
