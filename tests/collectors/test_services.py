"""How starts and ends of units are counted, with what their log says of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from badgateway import vocabulary
from badgateway.collectors import services as module
from badgateway.collectors.services import Services
from badgateway.counters import Counters
from badgateway.events import KilledOnOrder, ServerEnd, Starved

UNIT = "api.service"
EXITED = 1_000_000_100.0
Told = Callable[[Services], None]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOLD_SECONDS", 0.0)


def running(invocation: str = "aa", **more: Any) -> dict[str, Any]:
    return {
        "ActiveState": "active", "SubState": "running", "Result": "success", "MainPID": 10,
        "NRestarts": 0, "InvocationID": bytes.fromhex(invocation * 16),
        "ExecMainStartTimestamp": 1_000_000_000_000_000, "ExecMainExitTimestamp": 0, **more,
    }  # fmt: skip


def ended(result: str, status: int = 9) -> dict[str, Any]:
    return {
        "ActiveState": "failed", "SubState": "failed", "Result": result, "MainPID": 0,
        "ExecMainStatus": status, "ExecMainExitTimestamp": int(EXITED * 1e6),
    }  # fmt: skip


def reasons(counters: Counters, metric: str) -> dict[str, float]:
    found = {}
    for reason in vocabulary.SERVICE_REASONS:
        value = counters.value(metric, ("api", "systemd", UNIT, reason))
        if value:
            found[reason] = value
    return found


def life(
    result: str, told: Told = lambda _: None, then: dict[str, Any] | None = None, **unit: Any
) -> tuple[dict[str, float], dict[str, float]]:
    """Ends and restarts of a unit that runs, ends so, and perhaps runs again."""
    counters = Counters()
    services = Services(counters)
    services.watch("api", UNIT, running(**unit))
    services.change(UNIT, ended(result))
    told(services)
    services.tick()
    if then is not None:
        services.change(UNIT, then)
        services.tick()
    return reasons(counters, "service_exits_total"), reasons(counters, "service_restarts_total")


@pytest.mark.parametrize("result", ["signal", "exit-code", "core-dump"])
def test_an_end_on_somebodys_order_is_killed(result: str) -> None:
    def told(services: Services) -> None:
        services.told(UNIT, KilledOnOrder(EXITED - 0.1))

    assert life(result, told) == ({"killed": 1}, {})


def test_an_order_long_before_killed_nothing() -> None:
    def told(services: Services) -> None:
        services.told(UNIT, KilledOnOrder(EXITED - 200))

    assert life("signal", told) == ({"signal": 1}, {})


def test_lack_of_memory_is_none_of_those_orders() -> None:
    def told(services: Services) -> None:
        services.told(UNIT, Starved(EXITED - 0.1))

    assert life("signal", told) == ({"oom": 1}, {})
    assert life("oom-kill") == ({"oom": 1}, {})
    assert life("exit-code", told) == ({"exit_code": 1}, {})


def test_a_usage_error_is_told_by_the_servers_own_words() -> None:
    def told(services: Services) -> None:
        services.explain(UNIT, ServerEnd(EXITED - 0.1, "gunicorn", "usage"))

    assert life("exit-code", told) == ({"usage": 1}, {})


def test_a_start_by_a_socket_is_nobodys_order() -> None:
    again = running("bb")
    assert life("exit-code", then=again, TriggeredBy=["api.socket"]) == (
        {"exit_code": 1}, {"exit_code": 1},
    )  # fmt: skip
    assert life("exit-code", then=again) == ({"exit_code": 1}, {"manual": 1})


def test_a_stop_together_with_what_it_is_part_of_is_propagated() -> None:
    counters = Counters()
    services = Services(counters)
    services.watch("api", UNIT, running(PartOf=["shop.target"]))
    assert services.bonds() == {"shop.target"}
    now = time.time()
    services.job(UNIT, "")
    services.job("shop.target", "")
    services.change(UNIT, {"ActiveState": "deactivating", "SubState": "stop-sigterm"})
    services.change(
        UNIT,
        {"ActiveState": "inactive", "SubState": "dead", "MainPID": 0, "ExecMainStatus": 0,
         "ExecMainExitTimestamp": int(now * 1e6)},
    )  # fmt: skip
    services.tick()
    assert reasons(counters, "service_exits_total") == {"propagated": 1}


def test_a_dependency_that_failed_is_a_refused_start() -> None:
    counters = Counters()
    services = Services(counters)
    services.watch("api", UNIT, {"ActiveState": "inactive", "SubState": "dead"})
    services.job(UNIT, "")
    services.job(UNIT, "dependency")
    services.job("other.service", "dependency")
    services.tick()
    assert reasons(counters, "service_exits_total") == {"dependency": 1}
    assert reasons(counters, "service_restarts_total") == {}
