"""Where a route leads, by what can be seen of the host."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from badgateway.collectors.sight import HostSight
from badgateway.sources.names import servers
from badgateway.topology.backends import Backend
from badgateway.topology.destinations import Resolved, destination, name_of, problem
from badgateway.topology.routes import Route


@dataclass
class Seen:
    """A host as a test wants it."""

    listening: dict[str, str] = field(default_factory=dict)
    names: dict[str, Resolved] = field(default_factory=dict)
    sockets: dict[str, str] = field(default_factory=dict)
    here: frozenset[str] = frozenset(("127.0.0.1", "::1", "10.0.0.1"))
    blind: bool = False
    servers: frozenset[str] = frozenset(("192.0.2.53",))

    def listens(self, address: str) -> bool | None:
        return None if self.blind else address in self.listening

    def owner(self, address: str) -> str:
        return self.listening.get(address, "")

    def resolved(self, name: str) -> Resolved:
        return self.names.get(name, Resolved())

    def socket(self, path: str) -> str:
        return self.sockets.get(path, "")

    def is_here(self, address: str) -> bool:
        return address in self.here

    def asks(self, servers: Collection[str]) -> bool:
        return set(servers) <= self.servers


def at(upstream: str) -> Route:
    return Route("shop.test", ":80", upstream)


@pytest.mark.parametrize(
    ("upstream", "state"),
    [
        ("127.0.0.1:8001", "listening"),
        ("127.0.0.1:8002", "not_listening"),
        ("[::1]:8001", "other_family"),
        ("127.0.0.1:8003", "other_family"),
        ("10.0.0.1:8001", "not_listening"),
        ("192.0.2.7:80", "remote"),
        ("unix:/run/app.sock", "listening"),
        ("unix:/run/stale.sock", "not_listening"),
        ("unix:/run/none.sock", "socket_missing"),
        ("unix:/run/closed.sock", "socket_permission"),
        ("app.internal:8001", "listening"),
        ("app.internal:8002", "not_listening"),
        ("far.internal:80", "remote"),
        ("both.internal:8001", "remote"),
        ("gone.internal:80", "name_unresolved"),
        ("unasked.internal:80", "unknown"),
        ("{$upstream}:80", "unknown"),
        ("127.0.0.1", "invalid"),
        ("127.0.0.1:99999", "invalid"),
        ("127.0.0.300:80", "invalid"),
    ],
)
def test_where_a_route_leads(upstream: str, state: str) -> None:
    seen = Seen(
        {"127.0.0.1:8001": "api.service", "[::1]:8003": "api.service", "unix:/run/app.sock": ""},
        {
            "app.internal": Resolved(("127.0.0.1",), True),
            "far.internal": Resolved(("192.0.2.7",), True),
            "both.internal": Resolved(("127.0.0.1", "192.0.2.7"), True),
            "gone.internal": Resolved((), True, 7.0),
        },
        {"/run/none.sock": "missing", "/run/closed.sock": "denied"},
    )
    found = destination(at(upstream), seen)
    assert found.state == state
    assert found.is_broken == (state not in ("listening", "remote", "unknown"))


def test_who_listens_there_and_whose_the_address_is_are_two_things() -> None:
    seen = Seen({"127.0.0.1:8001": "docker.service"})
    api = Backend("api", "systemd", "api.service", listens=("0.0.0.0:8001",))
    found = destination(at("127.0.0.1:8001"), seen, (api,))
    assert (found.owner, found.backend) == ("docker.service", "api")


def test_a_host_that_cannot_be_seen_accuses_nobody() -> None:
    seen = Seen(blind=True)
    for upstream in ("127.0.0.1:1", "unix:/run/a", "[::1]:1"):
        assert destination(at(upstream), seen).state == "unknown"


def test_since_when_a_name_leads_nowhere_is_kept() -> None:
    seen = Seen(names={"gone": Resolved((), True, 7.0)})
    assert destination(at("gone:80"), seen).since == 7.0


@pytest.mark.parametrize(
    ("resolvers", "gone", "unserved"),
    [
        ((), "name_unresolved", "not_listening"),
        (("192.0.2.53",), "name_unresolved", "not_listening"),
        (("192.0.2.53", "192.0.2.54"), "unknown", "unknown"),
        (("127.0.0.11",), "unknown", "unknown"),  # Docker's own
    ],
)
def test_a_name_that_is_asked_of_other_name_servers_is_not_known_here(
    resolvers: tuple[str, ...], gone: str, unserved: str
) -> None:
    seen = Seen(
        {"127.0.0.1:8001": "api.service"},
        {"gone": Resolved((), True, 7.0), "app": Resolved(("127.0.0.1",), True)},
    )

    def state(upstream: str) -> str:
        route = replace(at(upstream), dynamic=True, resolvers=resolvers)
        return destination(route, seen).state

    assert (state("gone:80"), state("app:8002")) == (gone, unserved)
    assert state("app:8001") == "listening"


def test_this_host_asks_the_name_servers_of_its_resolv_conf(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("# nameserver 9.9.9.9\nsearch lan\nnameserver 192.0.2.53\nnameserver ::1\n")
    sight = HostSight(servers=servers(str(conf)))
    assert sight.servers == {"192.0.2.53", "::1"}
    assert sight.asks(())
    assert sight.asks(("192.0.2.53:53", "[::1]:53", "[::1]"))
    assert not sight.asks(("192.0.2.53:5353",))
    assert not sight.asks(("192.0.2.53", "127.0.0.11"))
    assert servers(str(tmp_path / "none")) == frozenset()


@pytest.mark.parametrize(
    ("upstream", "words"),
    [
        ("app:80", ""),
        ("app_1.internal.:80", ""),
        ("[2001:db8::1]:80", ""),
        ("unix:/run/a.sock", ""),
        ("app", "no port"),
        (":80", "no host"),
        ("app:http", "`http` is no port"),
        ("app:0", "`0` is no port"),
        ("10.0.0:80", "`10.0.0` is neither"),
        ("ap p:80", "`ap p` is neither"),
        ("-app:80", "`-app` is neither"),
        ("unix:", "no path"),
        ("unix:/" + "x" * 107, "too long"),
    ],
)
def test_what_is_wrong_with_an_address(upstream: str, words: str) -> None:
    assert words in problem(upstream)
    assert bool(words) == bool(problem(upstream))


def test_only_a_name_is_asked_of_a_resolver() -> None:
    asked = ("app:80", "127.0.0.1:80", "[::1]:80", "localhost:80", "unix:/a", "{x}:80", "10.1:80")
    assert [name_of(upstream) for upstream in asked] == ["app", "", "", "", "", "", ""]
