"""Command lines: what a unit, a process or a container starts, and how."""
