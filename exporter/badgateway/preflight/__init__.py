"""Preflight: would a start be refused before any code of the project is loaded.

The options a server takes are read from its own installed sources, as text: nothing of it is
imported or run. Where they cannot be read, nothing is said. Runs in the child of ``packages.scan``
and reads through ``packages.files`` alone, so that it sees what a container sees.
"""
