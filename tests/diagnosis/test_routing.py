"""The rules about ways that lead to a wrong place, and about the proxy itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from badgateway.diagnosis import risks, rules
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import RiskFound
from badgateway.events import AnswerOrigin, ServerEnd, UpstreamFailure
from badgateway.topology import proxystate
from badgateway.topology.backends import Backend, ProxyPath
from badgateway.topology.destinations import Destination
from badgateway.topology.proxyplace import ProxyFound
from badgateway.topology.proxystate import ProxyState
from badgateway.topology.routes import LocalAnswer, Route
from badgateway.topology.ways import Way, Ways
from tests.diagnosis.builders import BACKEND, LOOPING, NOW, STOPPED, healthy, probe

PLACE = "/etc/nginx/sites-enabled/api:4"
WRONG = Route("api.test", ":80", "127.0.0.1:9001", place=PLACE)
LOADED = ProxyState(ProxyFound(loaded_at=NOW - 20), running=True)


def way(state: str = "not_listening", route: Route = WRONG, **changes: Any) -> Way:
    return Way("nginx", Destination(route, state, **changes), is_missed=state != "remote")


def astray(route: Route = WRONG) -> Backend:
    return replace(BACKEND, paths=(ProxyPath("nginx", route, astray=True),))


def misled(**changes: Any) -> Evidence:
    """The application answers at its own address, and 502 comes from the proxy."""
    evidence = healthy(
        backend=astray(), probes=(probe("proxy", 3), probe("origin")),
        ways=Ways(loaded=(way(),)), proxies={"nginx": LOADED},
        listens_at=("127.0.0.1:8001",),
    )  # fmt: skip
    return replace(evidence, **changes)


def failed(reason: str, detail: str = "") -> UpstreamFailure:
    return UpstreamFailure(NOW - 2, reason, 502, "api.test", None, detail)


def found(evidence: Evidence, name: str) -> RiskFound | None:
    return next((risk for risk in risks.find(evidence) if risk.risk == name), None)


def test_an_address_where_nothing_listens_is_named_with_its_line_and_what_it_was() -> None:
    verdict = rules.diagnose(misled())
    assert (verdict.cause, verdict.subject) == ("wrong_upstream", "127.0.0.1:9001")
    assert "nginx sends api.test to 127.0.0.1:9001, where nothing listens" in verdict.summary
    assert "api itself answers at 127.0.0.1:8001" in verdict.summary
    told = " ".join((*verdict.evidence, *verdict.next_steps))
    assert PLACE in told
    assert "led to 127.0.0.1:8001" in told
    assert "database" not in told


def test_that_it_received_no_request_is_said_only_where_it_can_be_seen() -> None:
    blind = rules.diagnose(misled())
    assert any("cannot be seen" in fact for fact in blind.evidence)
    seen = misled(
        requests_seen_by="its own log", requests_watched_since=NOW - 900, last_request=NOW - 60
    )
    told = rules.diagnose(seen).evidence
    assert any("has received no request since" in fact and "its own log" in fact for fact in told)


def test_another_application_in_its_place_is_named() -> None:
    away = way("listening", replace(WRONG, upstream="127.0.0.1:8002"), backend="desk")
    evidence = misled(
        backend=BACKEND, probes=(probe("edge", 3, "body", 200), probe("origin")),
        ways=Ways(given_away=(replace(away, is_missed=False),)),
    )  # fmt: skip
    verdict = rules.diagnose(evidence)
    assert verdict.cause == "wrong_upstream"
    assert "127.0.0.1:8002, which is desk" in verdict.summary
    assert rules.diagnose(replace(evidence, probes=(probe("edge"),))).cause == "none"


def test_the_other_address_family_is_told() -> None:
    verdict = rules.diagnose(misled(ways=Ways(loaded=(way("other_family"),))))
    assert verdict.cause == "wrong_upstream"
    assert "the other address family" in verdict.summary


def test_without_a_memory_one_idle_application_is_what_was_meant() -> None:
    backend = Backend("127.0.0.1:9001", listens=("127.0.0.1:9001",))
    evidence = misled(
        backend=replace(backend, paths=(ProxyPath("nginx", WRONG),)), service=None,
        probes=(probe("proxy", 3), probe("origin", 3, "connect_refused", 0)), listening=False,
        idle=("shop listens at 127.0.0.1:8001",), listens_at=(),
    )  # fmt: skip
    verdict = rules.diagnose(evidence)
    assert verdict.cause == "wrong_upstream"
    assert "shop listens at 127.0.0.1:8001, and no proxy leads there" in verdict.summary
    two = replace(evidence, idle=("a listens at x", "b listens at y"))
    assert rules.diagnose(two).cause == "undetermined"


def test_without_a_memory_the_only_way_that_leads_nowhere_is_the_missing_one() -> None:
    evidence = misled(backend=BACKEND, ways=Ways(), proxies={}, lost=(way(),))
    verdict = rules.diagnose(evidence)
    assert (verdict.cause, verdict.subject) == ("wrong_upstream", "127.0.0.1:9001")
    assert "api itself answers at 127.0.0.1:8001" in verdict.summary
    other = way(route=replace(WRONG, upstream="127.0.0.1:9002"))
    assert rules.diagnose(replace(evidence, lost=(way(), other))).cause == "undetermined"


def test_an_application_that_is_down_is_not_blamed_on_its_proxy() -> None:
    own = Route("api.test", ":80", "127.0.0.1:8001")
    evidence = misled(
        backend=replace(BACKEND, paths=(ProxyPath("nginx", own),)), service=STOPPED,
        probes=(probe("proxy", 3), probe("origin", 3, "connect_refused", 0)), listening=False,
        ways=Ways(loaded=(way(route=own),)), listens_at=(),
    )  # fmt: skip
    assert rules.diagnose(evidence).cause == "service_stopped"
    assert rules.diagnose(replace(evidence, service=LOOPING)).cause == "crash_loop"


def test_an_application_that_listens_elsewhere_than_it_should_is_found() -> None:
    own = Route("api.test", ":80", "127.0.0.1:8001")
    evidence = misled(
        backend=replace(BACKEND, paths=(ProxyPath("nginx", own),)), listening=False,
        probes=(probe("proxy", 3), probe("origin", 3, "connect_refused", 0)),
        ways=Ways(loaded=(way(route=own),)), listens_at=("127.0.0.1:8011",),
    )  # fmt: skip
    verdict = rules.diagnose(evidence)
    assert verdict.cause == "wrong_upstream"
    assert any("api listens at 127.0.0.1:8011" in fact for fact in verdict.evidence)


@pytest.mark.parametrize("told", [True, False], ids=["log", "resolver"])
def test_a_name_that_leads_nowhere(told: bool) -> None:
    route = replace(WRONG, upstream="api.internal:8001")
    state = "unknown" if told else "name_unresolved"
    evidence = misled(
        backend=astray(route),
        ways=Ways(loaded=(way(state, route, since=NOW - 60),)),
        failures=(failed("dns_failure", "api.internal could not be resolved"),) if told else (),
    )
    verdict = rules.diagnose(evidence)
    assert (verdict.cause, verdict.subject) == ("name_unresolved", "api.internal")


def test_a_socket_that_is_not_there_or_not_to_be_opened() -> None:
    route = replace(WRONG, upstream="unix:/run/api.sock")
    for cause, reason in (("socket_missing", "socket_missing"),
                          ("socket_permission", "socket_denied")):  # fmt: skip
        seen = misled(backend=astray(route), ways=Ways(loaded=(way(cause, route),)))
        told = misled(
            backend=astray(route), ways=Ways(loaded=(way("unknown", route),)),
            failures=(failed(reason),),
        )  # fmt: skip
        for evidence in (seen, told):
            verdict = rules.diagnose(evidence)
            assert (verdict.cause, verdict.subject) == (cause, "/run/api.sock")


def test_a_host_that_cannot_be_reached() -> None:
    route = replace(WRONG, upstream="192.0.2.7:80")
    evidence = misled(
        backend=Backend("192.0.2.7:80", paths=(ProxyPath("nginx", route),)), service=None,
        ways=Ways(loaded=(way("remote", route),)), listening=None, listens_at=(),
        probes=(probe("proxy", 3), probe("origin", 3, "connect_unreachable", 0)),
    )  # fmt: skip
    verdict = rules.diagnose(evidence)
    assert (verdict.cause, verdict.subject) == ("host_unreachable", "192.0.2.7")
    refused = replace(evidence, probes=(probe("proxy", 3), probe("origin", 3, "status", 500)))
    assert rules.diagnose(refused).cause == "undetermined"


def test_a_port_that_is_taken() -> None:
    ended = ServerEnd(NOW - 3, "uvicorn", "bind_failure", detail="errno 98")
    evidence = healthy(
        service=LOOPING, server_ends=(ended,), listening=True, listener="old.service",
        probes=(probe("edge", 3),), ready=0.0,
    )  # fmt: skip
    verdict = rules.diagnose(evidence)
    assert (verdict.cause, verdict.subject) == ("port_conflict", "127.0.0.1:8001")
    assert "old.service listens there" in verdict.summary
    assert rules.diagnose(replace(evidence, server_ends=())).cause == "crash_loop"


def test_a_proxy_that_does_not_run_or_does_not_listen() -> None:
    outside = (probe("proxy", 3, "connect_refused", 0), probe("origin"))
    said = proxystate.Tested(False, 'unknown directive "prox_pass"', PLACE)
    dead = misled(
        backend=BACKEND, probes=outside, ways=Ways(), listens_at=(),
        proxies={"nginx": ProxyState(running=False, tested=said)},
    )  # fmt: skip
    verdict = rules.diagnose(dead)
    assert (verdict.cause, verdict.subject) == ("proxy_down", "nginx")
    assert any("prox_pass" in fact for fact in verdict.evidence)
    deaf = replace(
        dead, proxies={"nginx": ProxyState(running=True)}, proxies_deaf={"nginx": (":80",)}
    )
    assert "does not listen at :80" in rules.diagnose(deaf).summary
    listening = replace(deaf, proxies_deaf={})
    assert rules.diagnose(listening).cause == "undetermined"


def test_a_proxy_that_answers_by_itself() -> None:
    local = ProxyState(ProxyFound(local=(LocalAnswer("*", ":80", 502, place=PLACE),)), True)
    evidence = misled(backend=BACKEND, ways=Ways(), proxies={"nginx": local})
    verdict = rules.diagnose(evidence)
    assert verdict.cause == "proxy_answers_itself"
    assert PLACE in verdict.summary
    refusal = AnswerOrigin(NOW - 5, "proxy", "api.test", "limiting requests, excess: 0.9")
    told = replace(evidence, proxies={"nginx": LOADED}, own_answers=(refusal,))
    assert "limiting requests" in rules.diagnose(told).summary
    assert rules.diagnose(replace(told, own_answers=())).cause == "undetermined"


def test_a_standby_that_was_stopped_is_no_failure() -> None:
    spare = replace(WRONG, upstream="127.0.0.1:8001", group="shop", backup=True)
    evidence = misled(
        backend=replace(BACKEND, paths=(ProxyPath("nginx", spare),)), service=STOPPED,
        probes=(probe("proxy"), probe("origin", 30, "connect_refused", 0)), listening=False,
        ways=Ways(loaded=(replace(way(route=spare), is_missed=False),)),
    )  # fmt: skip
    assert rules.diagnose(evidence).cause == "none"
    assert rules.diagnose(replace(evidence, service=LOOPING)).cause == "crash_loop"


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


_SOCKET = replace(WRONG, upstream="unix:/run/api.sock")
_FAR = replace(WRONG, upstream="192.0.2.7:80")
EACH = (
    misled(),
    misled(ways=Ways(loaded=(way("name_unresolved", replace(WRONG, upstream="gone:80")),))),
    misled(backend=astray(_SOCKET), ways=Ways(loaded=(way("socket_missing", _SOCKET),))),
    misled(backend=astray(_SOCKET), ways=Ways(loaded=(way("socket_permission", _SOCKET),))),
    misled(
        backend=Backend("far", paths=(ProxyPath("nginx", _FAR),)), service=None, listening=None,
        ways=Ways(loaded=(way("remote", _FAR),)), listens_at=(),
        probes=(probe("origin", 3, "connect_unreachable", 0),),
    ),
    misled(
        backend=BACKEND, ways=Ways(), probes=(probe("proxy", 3, "connect_refused", 0),),
        proxies={"nginx": ProxyState(running=False)},
    ),
    misled(
        backend=BACKEND, ways=Ways(),
        own_answers=(AnswerOrigin(NOW - 5, "proxy", "api.test", "limiting requests"),),
    ),
    healthy(
        service=LOOPING, listening=True, listener="old.service", probes=(probe("edge", 3),),
        server_ends=(ServerEnd(NOW - 3, "uvicorn", "bind_failure"),), ready=0.0,
    ),
)  # fmt: skip
"""Evidence of each cause of this file."""
