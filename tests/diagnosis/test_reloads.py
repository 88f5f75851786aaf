"""The risks of a proxy's next reload."""

from __future__ import annotations

from dataclasses import replace

from badgateway.diagnosis import rules
from badgateway.topology.proxies import state as proxystate
from badgateway.topology.proxies.state import ProxyState
from badgateway.topology.routes import Route
from badgateway.topology.ways import Ways
from tests.diagnosis.builders import NOW, healthy
from tests.diagnosis.routes import LOADED, PLACE, WRONG, found, way


def test_what_a_reload_would_bring_is_told_before() -> None:
    state = replace(LOADED, pending=True, pending_since=NOW - 30)
    was = Route("api.test", ":80", "127.0.0.1:8001")
    coming = replace(way(), was=(was,))
    evidence = healthy(ways=Ways(coming=(coming,)), proxies={"nginx": state})
    risk = found(evidence, "next_reload_misroutes")
    assert risk is not None
    assert (risk.subject, risk.since) == ("127.0.0.1:9001", NOW - 30)
    assert "api.test to 127.0.0.1:9001 (now 127.0.0.1:8001): nothing listens there" in risk.summary
    assert any(PLACE in fact for fact in risk.evidence)
    assert rules.diagnose(evidence).cause == "none"


def test_a_name_that_nginx_cannot_load_makes_the_reload_fail() -> None:
    route = replace(WRONG, upstream="gone.internal:80")
    evidence = healthy(ways=Ways(coming=(way("name_unresolved", route),)))
    assert found(evidence, "next_reload_misroutes") is None
    risk = found(evidence, "next_reload_fails")
    assert risk is not None
    assert risk.subject == "gone.internal"
    later = healthy(ways=Ways(coming=(way("name_unresolved", replace(route, dynamic=True)),)))
    assert found(later, "next_reload_misroutes") is not None
    assert found(later, "next_reload_fails") is None


def test_a_configuration_that_the_proxy_would_refuse() -> None:
    state = ProxyState(tested=proxystate.Tested(False, 'unknown directive "prox_pass"', PLACE))
    risk = found(healthy(proxies={"nginx": state}), "next_reload_fails")
    assert risk is not None
    assert PLACE in risk.next_steps[0]
    unknown = ProxyState(tested=proxystate.Tested(None, "permission denied"))
    assert found(healthy(proxies={"nginx": unknown}), "next_reload_fails") is None


def test_a_name_that_leads_elsewhere_since_it_was_loaded() -> None:
    route = replace(WRONG, upstream="api.internal:80")
    pinned = way("remote", route, addresses=("10.0.0.5",))
    moved = replace(pinned, moved=("10.0.0.6",), moved_since=NOW - 60)
    risk = found(healthy(ways=Ways(loaded=(moved,))), "name_pinned")
    assert risk is not None
    assert "still sends api.test to 10.0.0.5" in risk.summary
    assert risk.since == NOW - 60
    assert found(healthy(ways=Ways(loaded=(pinned,))), "name_pinned") is None
