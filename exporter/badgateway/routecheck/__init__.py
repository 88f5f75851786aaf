"""Judging a proxy's configuration file before it is loaded: is it right, and where does it lead."""
