"""The rules about a port that is taken, and about the proxy itself."""

from __future__ import annotations

from dataclasses import replace

from badgateway.diagnosis import rules
from badgateway.events import AnswerOrigin, ServerEnd
from badgateway.topology.proxies import state as proxystate
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from badgateway.topology.proxies.state import ProxyState
from badgateway.topology.routes import LocalAnswer
from badgateway.topology.ways import Ways
from tests.diagnosis.builders import BACKEND, LOOPING, NOW, STOPPED, healthy, probe
from tests.diagnosis.routes import LOADED, PLACE, WRONG, asking, astray, misled, way


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
    assert (
        "api does not run either"
        in rules.diagnose(
            replace(dead, service=STOPPED, probes=outside[:1], listening=False)
        ).summary
    )
    gone = replace(dead, ways=misled().ways, backend=astray())
    assert rules.diagnose(gone).cause == "proxy_down"
    unit = replace(dead.proxies["nginx"], place=ProxyPlace("nginx", "nginx", "nginx.service"))
    assert (
        "systemctl start nginx" in rules.diagnose(replace(dead, proxies={"nginx": unit})).next_steps
    )
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
    other = LocalAnswer("desk.test", ":80", 502)
    others = ProxyState(ProxyFound(local=(other,)), True)
    ways = Ways((way("listening", replace(WRONG, site="desk.test")),))
    beside = replace(evidence, proxies={"nginx": others}, ways=ways,
                     probes=(asking("api.test", 3), probe("origin")))  # fmt: skip
    assert rules.diagnose(beside).cause == "undetermined"
    at_times = ProxyState(ProxyFound(local=(LocalAnswer("*", ":80", 502, True, PLACE),)), True)
    verdict = rules.diagnose(replace(evidence, proxies={"nginx": at_times}))
    assert "under a condition" in verdict.summary
    assert verdict.confidence < 0.9
    refusal = AnswerOrigin(NOW - 5, "proxy", "api.test", "limiting requests, excess: 0.9")
    told = replace(evidence, proxies={"nginx": LOADED}, own_answers=(refusal,))
    assert "limiting requests" in rules.diagnose(told).summary
    assert rules.diagnose(replace(told, own_answers=())).cause == "undetermined"
