"""The rules about ways that lead to a wrong place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from badgateway.collectors.probes import Target
from badgateway.collectors.requestheaders import Header
from badgateway.config.values import Secret
from badgateway.diagnosis import rules
from badgateway.diagnosis.verdict import Verdict
from badgateway.topology.backends import Backend, ProxyPath
from badgateway.topology.destinations import Destination
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from badgateway.topology.routes import Route
from badgateway.topology.ways import Idle, Way, Ways
from tests.diagnosis.builders import BACKEND, LOOPING, NOW, STOPPED, probe
from tests.diagnosis.routes import LOADED, PLACE, WRONG, asking, astray, failed, misled, way


def test_an_address_where_nothing_listens_is_named_with_its_line_and_what_it_was() -> None:
    verdict = rules.diagnose(misled())
    assert (verdict.cause, verdict.subject) == ("wrong_upstream", "127.0.0.1:9001")
    assert "nginx sends api.test to 127.0.0.1:9001, where nothing listens" in verdict.summary
    assert "api itself answers at 127.0.0.1:8001" in verdict.summary
    told = " ".join((*verdict.evidence, *verdict.next_steps))
    assert PLACE in told
    assert "led to 127.0.0.1:8001" in told
    assert "database" not in told


def test_an_application_that_moved_is_told_from_a_proxy_that_was_changed() -> None:
    own = replace(WRONG, upstream="127.0.0.1:8011")
    moved = rules.diagnose(
        misled(backend=astray(own), ways=Ways((replace(way(route=own), before=own.upstream),)))
    )
    told = " ".join(moved.evidence)
    assert "was right until api moved" in told
    assert "Before that" not in told
    assert "or have api listen at 127.0.0.1:8011 again" in moved.next_steps[0]
    unknown = " ".join(rules.diagnose(misled(ways=Ways((way(),)))).evidence)
    assert "Before that" not in unknown
    assert "was right" not in unknown


def test_a_site_that_fails_for_another_reason_is_not_blamed_on_a_way_nobody_takes() -> None:
    own = replace(WRONG, site="two.test", upstream="127.0.0.1:8001")
    ways = Ways((way(), replace(way("listening", own), is_missed=False)))
    probes = (asking("api.test", 0), asking("two.test", 3), probe("origin"))
    evidence = misled(ways=ways, probes=probes)
    assert rules.diagnose(evidence).cause == "undetermined"
    felt = (asking("api.test", 3), asking("two.test", 0), probe("origin"))
    assert rules.diagnose(replace(evidence, probes=felt)).cause == "wrong_upstream"


def test_of_two_proxies_the_one_that_is_wrong_is_named() -> None:
    caddy = replace(way(route=replace(WRONG, listen=":81")), proxy="caddy", before="127.0.0.1:8001")
    right = Way("nginx", Destination(replace(WRONG, upstream="127.0.0.1:8001"), "listening"))
    probes = (asking("api.test", 0), asking("api.test", 3, 81), probe("origin"))
    verdict = rules.diagnose(misled(ways=Ways((right, caddy)), probes=probes))
    assert verdict.summary.startswith("caddy sends api.test to 127.0.0.1:9001")


@pytest.mark.parametrize(
    ("place", "step"),
    [
        (ProxyPlace("nginx", "nginx", "web.service"), "systemctl reload web"),
        (
            ProxyPlace("nginx", "nginx", container="shop/proxy"),
            "docker compose -p shop exec proxy nginx -s reload",
        ),
        (ProxyPlace("nginx", "nginx", container="edge"), "docker exec edge nginx -s reload"),
        (
            ProxyPlace("nginx", "caddy", config="/etc/caddy/Caddyfile"),
            "caddy reload --config /etc/caddy/Caddyfile",
        ),
        (ProxyPlace("nginx", "nginx", binary="/opt/nginx"), "/opt/nginx -s reload"),
    ],
)
def test_a_proxy_is_reloaded_by_what_runs_it(place: ProxyPlace, step: str) -> None:
    state = replace(LOADED, place=place)
    steps = rules.diagnose(misled(proxies={"nginx": state})).next_steps
    assert step in steps
    assert sum("reload" in each for each in steps) == 1


def test_a_wildcard_is_no_address_to_lead_to() -> None:
    verdict = rules.diagnose(misled(listens_at=("[::]:8001",)))
    assert verdict.next_steps[0] == f"correct {PLACE} to [::1]:8001"


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
        idle=(Idle("shop", "127.0.0.1:8001"),), listens_at=(), ready=0.0,
    )  # fmt: skip
    verdict = rules.diagnose(evidence)
    assert verdict.cause == "wrong_upstream"
    assert "badgateway verify shop" in verdict.next_steps
    assert not any("127.0.0.1:9001 has received" in fact for fact in verdict.evidence)
    assert "shop listens at 127.0.0.1:8001, and no proxy leads there" in verdict.summary
    two = rules.diagnose(replace(evidence, idle=(Idle("a", "x"), Idle("b", "y"))))
    assert two.cause == "undetermined"
    assert "nginx sends api.test to 127.0.0.1:9001, where nothing listens" in two.summary
    assert any("b listens at y, and no proxy" in fact for fact in two.evidence)
    assert f"see {PLACE} for what should listen there" in two.next_steps
    answered_before = replace(evidence, ready=NOW - 3600)
    assert rules.diagnose(answered_before).cause == "undetermined"


def test_without_a_memory_the_only_way_that_leads_nowhere_is_the_missing_one() -> None:
    probes = (asking("api.test", 3), probe("origin"))
    evidence = misled(backend=BACKEND, ways=Ways(), proxies={}, lost=(way(),), probes=probes)
    verdict = rules.diagnose(evidence)
    assert (verdict.cause, verdict.subject) == ("wrong_upstream", "127.0.0.1:9001")
    assert "api itself answers at 127.0.0.1:8001" in verdict.summary
    header = Header("Host", Secret("api.test"))
    headed = replace(probe("edge", 3), target=Target("api", "e", "edge", "http://127.0.0.1/",
                                                     headers=(header,)))  # fmt: skip
    told = rules.diagnose(replace(evidence, probes=(headed, probe("origin"))))
    assert told.cause == "wrong_upstream"
    unnamed = replace(evidence, probes=(probe("edge", 3), probe("origin")))
    assert rules.diagnose(unnamed).cause == "wrong_upstream"
    elsewhere = way(route=replace(WRONG, listen=":8080"))
    assert rules.diagnose(replace(unnamed, lost=(elsewhere,))).cause == "undetermined"
    forgotten = way(route=replace(WRONG, site="old.test"))
    assert rules.diagnose(replace(evidence, lost=(forgotten,))).cause == "undetermined"
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


def test_a_verdict_stands_until_the_new_configuration_was_asked() -> None:
    healed = misled(ways=Ways((replace(way("listening"), is_missed=False),)))
    before, after = rules.diagnose(misled()), rules.diagnose(healed)
    assert (before.cause, after.cause) == ("wrong_upstream", "undetermined")
    unasked = replace(LOADED, found=ProxyFound(loaded_at=NOW - 0.5))
    waiting = replace(healed, proxies={"nginx": unasked})
    assert rules.standing(after, before, waiting) == before
    assert rules.standing(after, before, healed) == after
    assert rules.standing(after, None, waiting) == after
    well = Verdict("none")
    assert rules.standing(well, before, waiting) == well


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


def test_a_failure_of_before_does_not_explain_those_that_followed() -> None:
    route = replace(WRONG, upstream="api.internal:8001")
    evidence = misled(
        backend=astray(route), ways=Ways((way("listening", route),)),
        probes=(probe("proxy", 9), probe("origin")),
    )  # fmt: skip
    for reason in ("dns_failure", "socket_missing", "socket_denied"):
        before, after = failed(reason), replace(failed("read_timeout"), at=NOW - 1)
        assert rules.diagnose(replace(evidence, failures=(before,))).cause != "undetermined"
        both = rules.diagnose(replace(evidence, failures=(before, after)))
        assert both.cause == "undetermined"


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


def test_a_standby_that_was_stopped_is_no_failure() -> None:
    spare = replace(WRONG, upstream="127.0.0.1:8001", group="shop", backup=True)
    evidence = misled(
        backend=replace(BACKEND, paths=(ProxyPath("nginx", spare),)), service=STOPPED,
        probes=(probe("proxy"), probe("origin", 30, "connect_refused", 0)), listening=False,
        ways=Ways(loaded=(replace(way(route=spare), is_missed=False),)),
    )  # fmt: skip
    assert rules.diagnose(evidence).cause == "none"
    assert rules.diagnose(replace(evidence, service=LOOPING)).cause == "crash_loop"
