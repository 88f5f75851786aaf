"""Docker's own networks: which container has an address, and that nobody has it."""

from __future__ import annotations

from typing import Any

import pytest

from badgateway.collectors.listeners import Listeners
from badgateway.collectors.sight import HostSight
from badgateway.sources.sockdiag import Listening
from badgateway.topology.containers.applications import backends, with_former_addresses
from badgateway.topology.containers.bridges import bridges, neighbours
from badgateway.topology.destinations import destination
from badgateway.topology.joining import join
from badgateway.topology.routes import Route

HERE = frozenset(("10.0.0.1", "172.18.0.1"))
PID = 4242


def document(address: str = "172.18.0.2", pid: int = PID, **network: Any) -> dict[str, Any]:
    """A container that Docker describes; without a first process it has no address."""
    held = {"IPAddress": address, "IPPrefixLen": 16, "Gateway": "172.18.0.1"} if pid else {}
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    bound = [{"HostIp": "127.0.0.1", "HostPort": "8080"}]
    return {
        "Id": "0a1b", "Name": "/shop-web-1", "Path": "gunicorn", "Args": ["a:b", "-b", ":8000"],
        "State": {"Status": "running" if pid else "exited", "Pid": pid},
        "Config": {"Labels": labels, "ExposedPorts": {"8000/tcp": {}}},
        "HostConfig": {"PortBindings": {"8000/tcp": bound}},
        "NetworkSettings": {
            "Ports": {"8000/tcp": bound} if pid else {},
            "Networks": {"shop_default": {"Aliases": ["web"], **held, **network}},
        },
    }  # fmt: skip


def sight(*documents: dict[str, Any], seen: bool = True) -> HostSight:
    inside = {PID: (Listening("0.0.0.0", 8000, inode=1), Listening("127.0.0.1", 9000, inode=2))}
    return HostSight(Listeners((), inside if seen else {}, {}, HERE), bridges=bridges(documents))


@pytest.mark.parametrize(
    ("upstream", "state"),
    [
        ("172.18.0.2:8000", "listening"),
        ("172.18.0.2:8001", "not_listening"),
        ("172.18.0.2:9000", "not_listening"),  # served to its own container only
        ("172.18.0.3:8000", "not_listening"),  # no container has that address
        ("172.18.0.1:8000", "not_listening"),  # this host itself
        ("172.19.0.2:8000", "remote"),
    ],
)
def test_an_address_in_a_network_of_containers_is_known(upstream: str, state: str) -> None:
    found = destination(Route("*", ":80", upstream), sight(document()))
    assert found.state == state
    assert found.owner == ("shop/web" if state == "listening" else "")


def test_a_container_whose_sockets_cannot_be_seen_accuses_nobody() -> None:
    route = Route("*", ":80", "172.18.0.2:8000")
    assert destination(route, sight(document(), seen=False)).state == "unknown"


def test_a_network_that_other_hosts_share_is_not_this_hosts_own() -> None:
    shared = sight(document("192.0.2.9", Gateway="192.0.2.1"))  # macvlan
    assert destination(Route("*", ":80", "192.0.2.77:8000"), shared).state == "remote"


@pytest.mark.parametrize(
    "settings",
    [{"IPAddress": ""}, {"IPPrefixLen": 0, "Gateway": ""}, {"IPPrefixLen": "x"}, {"Gateway": None}],
)
def test_a_network_without_addresses_says_nothing(settings: dict[str, Any]) -> None:
    assert bridges([document(**settings)]).networks == frozenset()


def test_a_service_is_called_by_its_name_in_its_own_networks_only() -> None:
    ours, theirs = document(), document("172.19.0.2", 4343)
    labels = {"com.docker.compose.project": "annex", "com.docker.compose.service": "web"}
    theirs["Config"] = theirs["Config"] | {"Labels": labels}
    networks = theirs["NetworkSettings"]["Networks"]
    networks["annex_default"] = networks.pop("shop_default")
    near = neighbours([ours, theirs])
    assert near == {"shop/web": {"shop/web"}, "annex/web": {"annex/web"}}
    upstreams = ("web:8000", "172.18.0.2:8000")
    routes = [Route("*", ":80", upstream) for upstream in upstreams]

    def owners(proxy: str) -> set[tuple[str, str]]:
        paths = join(
            backends([theirs, ours]), [(proxy, routes)], None, {"a": near["shop/web"], "b": ()}
        )
        return {(b.name, p.route.upstream) for b in paths.backends for p in b.paths}

    assert owners("a") == {("shop/web", "web:8000"), ("shop/web", "172.18.0.2:8000")}
    assert owners("b") == {("web:8000", "web:8000"), ("shop/web", "172.18.0.2:8000")}


def test_a_stopped_container_keeps_the_addresses_that_lead_to_it() -> None:
    before = backends([document()])
    (stopped,) = backends([document(pid=0)])
    assert stopped.listens == ("127.0.0.1:8080",)  # as it was told to publish
    assert not stopped.listens_at("172.18.0.2:8000")
    (kept,) = with_former_addresses([stopped], before)
    assert kept.listens == ("127.0.0.1:8080",)
    assert kept.listens_at("172.18.0.2:8000")
    assert kept.listens_at("web:8000")
    (again,) = with_former_addresses([kept], [kept])
    assert again == kept


def test_an_address_that_another_container_has_now_is_that_ones() -> None:
    before, (stopped,) = backends([document()]), backends([document(pid=0)])
    taker = document()
    taker["Config"] = taker["Config"] | {"Labels": {}}
    taker["Name"], taker["NetworkSettings"]["Ports"] = "/taker", {}
    (running,) = backends([taker])
    kept, _ = with_former_addresses([stopped, running], before)
    assert not kept.listens_at("172.18.0.2:8000")
    assert kept.listens_at("127.0.0.1:8080")
    assert kept.listens_at("web:8000")  # in another network that name may be another's


def test_a_container_that_runs_has_only_the_addresses_of_now() -> None:
    (moved,) = with_former_addresses(backends([document("172.18.0.9")]), backends([document()]))
    assert moved.listens_at("172.18.0.9:8000")
    assert not moved.listens_at("172.18.0.2:8000")
