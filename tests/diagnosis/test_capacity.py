"""Risks at the next peak, and at the next end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from badgateway.diagnosis import risks
from badgateway.diagnosis.evidence import Evidence
from badgateway.topology.containers.container import Container
from tests.diagnosis.builders import BACKEND, STOPPED, healthy

MIB = 2**20


def named(evidence: Evidence) -> set[str]:
    return {risk.risk for risk in risks.find(evidence)}


@pytest.mark.parametrize(("used", "near"), [(100, False), (459, False), (461, True), (512, True)])
def test_memory_near_its_limit_is_a_risk(used: int, near: bool) -> None:
    evidence = healthy(memory_used=used * MIB, memory_limit=512 * MIB)
    assert ("memory_near_limit" in named(evidence)) is near


def test_without_a_limit_no_amount_is_near_it() -> None:
    assert named(healthy(memory_used=10_000 * MIB)) == set()


@pytest.mark.parametrize(
    ("policy", "retries", "told"),
    [("no", 0, True), ("on-failure", 3, True), ("on-failure", 0, False),
     ("always", 0, False), ("unless-stopped", 0, False)],
)  # fmt: skip
def test_a_container_that_nobody_starts_again_is_a_risk(
    policy: str, retries: int, told: bool
) -> None:
    container = Container("shop/web", "1", restart_policy=policy, retries=retries)
    backend = replace(BACKEND, manager="docker", unit="shop/web", container=container)
    assert ("restart_policy_gives_up" in named(healthy(backend=backend))) is told
    assert named(healthy(backend=backend, service=STOPPED)) == set()
