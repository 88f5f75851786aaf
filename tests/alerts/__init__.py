"""Tests of the alert rules and of what routes them."""
