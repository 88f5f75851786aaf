"""Routes watched: what is surveyed anew, and what nobody would miss is not asked for."""

from __future__ import annotations

import time

from badgateway import config as settings
from badgateway.collectors.listeners import Listeners
from badgateway.collectors.probes import Target
from badgateway.collectors.proxies import Proxies
from badgateway.counters import Counters
from badgateway.events import UpstreamFailure
from badgateway.probing import Probing
from badgateway.routewatch import RouteWatch
from badgateway.sources.sockdiag import Listening
from badgateway.supervision import Supervisor
from badgateway.topology.backends import Backend
from badgateway.topology.discovery import Findings
from badgateway.topology.joining import join
from badgateway.topology.launch.command import Launch
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from badgateway.topology.routes import Route

SHOP = Backend("shop", "systemd", "shop.service", listens=("127.0.0.1:8001",), launch=Launch())
RIGHT = Route("shop.test", ":80", "127.0.0.1:8001")
NOWHERE = Route("old.test", ":80", "127.0.0.1:7777")
UP = Listeners((Listening("127.0.0.1", 8001, inode=7),), owners={7: "shop.service"})


def findings(watch: RouteWatch, *routes: Route) -> Findings:
    answers = {"nginx": ProxyFound(routes, routes, digest="a", loaded_digest="a")}
    paths = join((SHOP,), [("nginx", routes)], watch)
    return Findings(paths, paths, (ProxyPlace("nginx", "nginx", "nginx.service"),), answers)


def test_a_host_on_which_nothing_changes_is_not_surveyed_anew() -> None:
    watch = RouteWatch(Supervisor())
    watch.watch(findings(watch, RIGHT))
    watch.survey(UP, (), 1000.0)
    first = watch.survey(UP, (), 1001.0)
    busy = Listeners((Listening("127.0.0.1", 8001, queue=3, inode=7),), owners=UP.owners)
    assert watch.survey(busy, (), 1002.0) is first
    down = watch.survey(Listeners(), (), 1003.0)
    assert [way.destination.state for way in down.ways["shop"].broken] == ["not_listening"]
    assert watch.has_turned()
    assert not watch.has_turned()
    restarted = Listeners((Listening("127.0.0.1", 8001, inode=8),), owners={8: "shop.service"})
    assert watch.survey(restarted, (), 1004.0).ways["shop"].broken == ()
    watch.watch(findings(watch, NOWHERE))
    assert watch.survey(restarted, (), 1005.0).ways["127.0.0.1:7777"].broken


def asked_for(routes: tuple[Route, ...], heard: set[str], failed: bool = False) -> bool:
    """Whether the upstream that nobody listens at is among what is asked."""
    proxies = Proxies(Counters(), [])
    if failed:
        kept = UpstreamFailure(time.time(), "connect_refused", 502, "old.test", "127.0.0.1:7777")
        proxies.failures["127.0.0.1:7777"] = {kept: None}
    watch = RouteWatch(Supervisor())
    watch.survey(UP, (), 1000.0)
    seen = findings(watch, *routes)
    watch.watch(seen)
    asks = Asks()
    of = Probing(asks, proxies, lambda _: False)  # type: ignore[arg-type]
    of.has_turned(settings.Config(), seen.paths, watch.survey(UP, (), 1001.0), heard)
    of.aim(settings.Config(), seen)
    return "127.0.0.1:7777" in {target.backend for target in asks.targets}


class Asks:
    """Probes that ask nobody."""

    targets: frozenset[Target] = frozenset()

    def watch(self, targets: frozenset[Target]) -> None:
        self.targets = targets


def test_an_upstream_that_nobody_asks_for_is_not_asked() -> None:
    assert not asked_for((RIGHT, NOWHERE), {"nginx"})
    assert asked_for((RIGHT, NOWHERE), {"nginx"}, failed=True)


def test_an_application_that_no_proxy_leads_to_changes_that_only_where_traffic_is_unseen() -> None:
    assert not asked_for((NOWHERE,), {"nginx"})
    assert asked_for((NOWHERE,), set())
