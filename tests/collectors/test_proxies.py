"""What proxies' lines count, and what is there before the first."""

from __future__ import annotations

from badgateway.collectors.proxies import Proxies
from badgateway.counters import Counters
from badgateway.events import UpstreamFailure
from badgateway.topology.backends import Backend, PathMap, ProxyPath
from badgateway.topology.routes import Route

LABELS = ("api", "web", "127.0.0.1:8001", "reset")


def path_map(name: str = "api", upstream: str = "127.0.0.1:8001") -> PathMap:
    path = ProxyPath("web", Route("one.test", ":80", upstream))
    return PathMap((Backend(name, listens=(upstream,), paths=(path,)),))


def failure(identity: str = "", upstream: str = "127.0.0.1:8001") -> UpstreamFailure:
    return UpstreamFailure(1.0, "reset", 502, "one.test", upstream, identity=identity)


def proxies(counters: Counters, doubled: bool = True, memory: object = None) -> Proxies:
    found = Proxies(counters, (), memory if isinstance(memory, dict) else None)
    found.watch(path_map(), path_map("new", "127.0.0.1:9"), frozenset({"web"} if doubled else ()))
    return found


def test_the_same_line_in_two_logs_is_one_failure() -> None:
    counters = Counters()
    read = proxies(counters)
    for number in range(3):
        read.take("web", failure(f"line {number}"), True, "journal")
    for number in range(4):
        read.take("web", failure(f"line {number}"), True, "file")
    assert counters.value("upstream_failures_total", LABELS) == 4


def test_a_line_told_before_a_kill_is_not_counted_from_the_other_log_after_it() -> None:
    counters = Counters()
    before = proxies(counters)
    before.take("web", failure("line"), True, "journal")
    proxies(counters, memory=before.memory()).take("web", failure("line"), True, "file")
    assert counters.value("upstream_failures_total", LABELS) == 1


def test_lines_without_an_identity_are_all_counted() -> None:
    counters = Counters()
    read = proxies(counters)
    read.take("web", failure(), True, "journal")
    read.take("web", failure(), True, "file")
    assert counters.value("upstream_failures_total", LABELS) == 2


def test_a_proxy_with_one_log_remembers_no_lines() -> None:
    read = proxies(Counters(), doubled=False)
    read.take("web", failure("line"), True, "journal")
    assert read.memory()["pending"] == []


def test_an_upstream_of_a_reload_a_moment_ago_is_found_on_disk() -> None:
    counters = Counters()
    proxies(counters).take("web", failure(upstream="127.0.0.1:9"), True)
    assert counters.value("upstream_failures_total", ("new", "web", "127.0.0.1:9", "reset")) == 1
    assert counters.value("upstream_failures_total", LABELS) == 0


def test_a_configured_name_is_the_address_that_was_dialled() -> None:
    counters = Counters()
    read = Proxies(counters, ())
    read.watch(path_map(upstream="app:8001"), PathMap())
    read.take("web", failure(upstream="172.18.0.2:8001"), True)
    labels = ("api", "web", "app:8001", "reset")
    assert counters.value("upstream_failures_total", labels) == 1


def shown(counters: Counters) -> set[str]:
    counters.publish(counters.snapshot())
    return {name for name, series in counters.exposed() if list(series)}


def test_series_exist_only_for_what_is_being_read() -> None:
    counters = Counters()
    read = proxies(counters)
    assert shown(counters) == set()
    read.declare(path_map(), errors={"web"}, access=())
    assert shown(counters) == {
        "upstream_failures_total",
        "upstream_failures_masked_total",
        "proxy_errors_total",
    }
    read.declare(path_map(), errors=(), access={"web"})
    assert "client_aborts_total" in shown(counters)
