"""What httpx raises beside its own exceptions."""

from __future__ import annotations


def alone(error: Exception) -> Exception:
    """Return the first exception of a group, as anyio raises one for its tries of addresses."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
