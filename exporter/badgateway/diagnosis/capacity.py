"""Risks of a service that will not get what it needs at its next peak, or its next end."""

from __future__ import annotations

from typing import Final

from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import RiskFound

NEAR: Final = 0.9
"""Share of its limit from which on the memory in use is near it."""

_MIB: Final = 2**20


def memory_near_limit(evidence: Evidence) -> RiskFound | None:
    """The kernel will soon have to kill a process of it."""
    used, limit = evidence.memory_used, evidence.memory_limit
    if not limit or used < NEAR * limit:
        return None
    name = evidence.backend.name
    return RiskFound(
        "memory_near_limit",
        "memory",
        f"{name} uses {used / _MIB:.0f} MiB of the {limit / _MIB:.0f} MiB it may use: the kernel "
        "kills a process of it once it needs more.",
        (f"In use: {used / limit:.0%} of its limit.",),
        ("give it more memory, run fewer workers, or recycle them (--max-requests)",),
        evidence.now,
    )


def restart_policy_gives_up(evidence: Evidence) -> RiskFound | None:
    """Nobody will start its container again when it ends."""
    container = evidence.backend.container
    if container is None or evidence.service_down:
        return None
    policy, retries = container.restart_policy, container.retries
    if policy == "no":
        what = "Docker does not start it again when it ends"
    elif policy == "on-failure" and retries:
        what = f"Docker gives it up after {retries} failed starts"
    else:
        return None
    return RiskFound(
        "restart_policy_gives_up",
        policy,
        f"{evidence.backend.name}: {what} (restart policy `{policy}`).",
        (),
        ("let it be restarted: `restart: unless-stopped`",),
        evidence.now,
    )
