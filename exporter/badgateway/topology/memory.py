"""What is remembered of an application after its unit or the bus is gone.

Never its environment nor its words: they may hold secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from badgateway.topology.backends import Backend
from badgateway.topology.launch.command import Launch

_LAUNCH: Final = (
    "working_directory", "interpreter", "script", "module", "server", "entry", "virtualenv",
    "workers", "listen", "search", "max_requests", "preload", "loads", "installs", "worker_class",
    "timeouts", "problem",
)  # fmt: skip
_BACKEND: Final = ("name", "manager", "unit", "listens", "project", "virtualenv", "extras")


def document(backend: Backend) -> dict[str, Any]:
    """Return what a checkpoint holds of an application."""
    launch = backend.launch
    return {
        **{name: getattr(backend, name) for name in _BACKEND},
        "launch": {name: getattr(launch, name) for name in _LAUNCH} if launch else None,
    }


def backends(saved: Iterable[Mapping[str, Any]]) -> Iterator[Backend]:
    """Yield the applications that ``document`` described; one that does not fit is left out."""
    for item in saved:
        fields = {name: item[name] for name in _BACKEND if name in item}
        launch = item.get("launch") or {}
        known = {name: launch[name] for name in _LAUNCH if name in launch}
        try:
            found = msgspec.convert(known, Launch) if known else None
            yield replace(msgspec.convert(fields, Backend), launch=found)
        except msgspec.ValidationError:
            continue  # another version wrote it
