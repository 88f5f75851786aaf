"""What a container belongs to, by its labels (Compose's and Swarm's)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PROJECT: Final = "com.docker.compose.project"
_SERVICE: Final = "com.docker.compose.service"
_NUMBER: Final = "com.docker.compose.container-number"
_ONE_OFF: Final = "com.docker.compose.oneoff"
_SWARM_SERVICE: Final = "com.docker.swarm.service.name"
_SWARM_TASK: Final = "com.docker.swarm.task.name"


def unit_of(labels: Mapping[str, object], name: str) -> str:
    """Return what stays the same when a container is created anew.

    Args:
        labels: its labels.
        name: its own name, which is the unit of a container that nothing manages.
    """
    project, service = labels.get(_PROJECT), labels.get(_SERVICE)
    if project and service and str(labels.get(_ONE_OFF, "")).lower() != "true":
        return f"{project}/{service}"
    return str(labels.get(_SWARM_SERVICE) or name)


def number_of(labels: Mapping[str, object]) -> str:
    """Return which replica of its unit a container is; ``1`` where there is only one."""
    if labels.get(_SWARM_SERVICE):
        # web.2.k3jx…: service, slot, task
        parts = str(labels.get(_SWARM_TASK, "")).rsplit(".", 2)
        return parts[1] if len(parts) == 3 else "1"
    return str(labels.get(_NUMBER) or "1")
