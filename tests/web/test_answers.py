"""The hops of a backend, as the page and the terminal show them."""

from __future__ import annotations

from dataclasses import replace

from badgateway.collectors.probes import State
from badgateway.topology.backends import ProxyPath
from badgateway.topology.destinations import Destination
from badgateway.topology.routes import Route
from badgateway.topology.ways import Way, Ways
from badgateway.web.answers import _hops
from tests.diagnosis.builders import BACKEND, failure, healthy, probe

RIGHT = Route("a.test", ":80", "127.0.0.1:8001")
WRONG = Route("b.test", ":80", "127.0.0.1:9001")


def asking(host: str, failures: int = 0) -> State:
    found = probe("proxy", failures)
    return replace(found, target=replace(found.target, name=host, host=host))


def test_a_hop_says_which_site_it_is_and_an_upstream_only_what_failed_there() -> None:
    paths = (ProxyPath("nginx", RIGHT), ProxyPath("nginx", WRONG, astray=True))
    evidence = healthy(
        backend=replace(BACKEND, paths=paths), probes=(asking("a.test"), asking("b.test", 3)),
        ways=Ways((Way("nginx", Destination(WRONG, "not_listening"), is_missed=True),)),
        failures=(replace(failure(-2, "connect_refused"), upstream="127.0.0.1:9001"),),
    )  # fmt: skip
    hops = {(hop.hop, hop.name): hop for hop in _hops(evidence)}
    assert hops["proxy", "http://127.0.0.1/ for a.test"].state == "ok"
    assert hops["proxy", "http://127.0.0.1/ for b.test"].state == "failing"
    assert "1 connect refused" not in hops["upstream", "127.0.0.1:8001"].text
    assert "1 connect refused" in hops["upstream", "127.0.0.1:9001"].text


def test_a_failed_attempt_of_which_nobody_knows_where_is_said_of_each_upstream() -> None:
    told = replace(failure(-2), upstream=None)
    (hop,) = [hop for hop in _hops(healthy(failures=(told,))) if hop.hop == "upstream"]
    assert "1 reset" in hop.text


def test_a_socket_is_called_by_its_path() -> None:
    asked = probe("origin")
    unix = replace(asked, target=replace(asked.target, socket="/run/api.sock"))
    assert [h.name for h in _hops(healthy(probes=(unix,))) if h.hop == "origin"] == [
        "unix:/run/api.sock"
    ]
