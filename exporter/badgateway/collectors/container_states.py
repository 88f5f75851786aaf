"""A container's state, in the words that are used for units (API 1.24 and later)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from badgateway.collectors.container_ends import ORDERED
from badgateway.collectors.service_tracker import ServiceState
from badgateway.topology.containers.times import nanoseconds

_BEST_FIRST: Final = (
    "active", "paused", "activating", "deactivating", "failed", "inactive", "not_found", "unknown",
)  # fmt: skip
_HEALTHS: Final = ("unhealthy", "starting", "healthy")


def state_of(document: Mapping[str, Any], reason: str) -> ServiceState:
    """Return a container's state.

    Args:
        document: its description.
        reason: why it ended last, as far as known (``vocabulary.SERVICE_REASONS``).
    """
    state = document.get("State") or {}
    status = str(state.get("Status", ""))
    health = str((state.get("Health") or {}).get("Status", ""))
    code = int(state.get("ExitCode") or 0)
    failed = bool(code or state.get("Error")) and reason not in ORDERED
    active, sub = {
        "running": ("active", health if health in _HEALTHS else "running"),
        "paused": ("paused", "paused"),
        "restarting": ("activating", "auto-restart"),
        "created": ("failed" if state.get("Error") else "inactive", "created"),
        "exited": ("failed" if failed else "inactive", "exited"),
        "dead": ("failed", "dead"),
        "removing": ("deactivating", "removing"),
    }.get(status, ("unknown", ""))
    started, ended = nanoseconds(state.get("StartedAt")), nanoseconds(state.get("FinishedAt"))
    return ServiceState(
        active=active,
        sub=sub,
        result=reason.replace("_", "-"),
        main_pid=int(state.get("Pid") or 0),
        restarts=int(document.get("RestartCount") or 0),
        invocation=str(document.get("Id", "")),
        started=started / 1e9,
        exited=ended / 1e9 if ended > started else 0.0,
        exit_status=code,
        changed=max(started, ended) / 1e9,
    )


def unit_state(replicas: Sequence[ServiceState]) -> ServiceState:
    """Return the state of the best of a unit's replicas; ``sub`` says how many run as well."""
    best = min(replicas, key=lambda s: (_BEST_FIRST.index(s.active), -s.changed))
    if len(replicas) == 1 or best.active != "active":
        return best
    alike = sum(1 for state in replicas if state.active == best.active)
    return replace(best, sub=f"{best.sub}, {alike} of {len(replicas)} replicas")
