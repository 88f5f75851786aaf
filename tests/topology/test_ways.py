"""Whose a route is, and where sites lead and would lead after a reload."""

from __future__ import annotations

from dataclasses import replace

from badgateway.topology import ways
from badgateway.topology.backends import Backend, PathMap
from badgateway.topology.destinations import Resolved, destination
from badgateway.topology.homes import SETTLED_SECONDS, TRIAL_SECONDS, Homes
from badgateway.topology.joining import join
from badgateway.topology.proxies.place import ProxyFound
from badgateway.topology.routes import Route
from badgateway.topology.ways import Ways
from tests.topology.test_destinations import Seen

SHOP = Backend("shop", "systemd", "shop.service", listens=("127.0.0.1:8001",))
DESK = Backend("desk", "systemd", "desk.service", listens=("127.0.0.1:8002",))
RIGHT = Route("shop.test", ":80", "127.0.0.1:8001")
OTHER = Route("desk.test", ":80", "127.0.0.1:8002")
NOWHERE = replace(RIGHT, upstream="127.0.0.1:9001", place="/etc/nginx/shop:3")
UP = Seen({"127.0.0.1:8001": "shop.service", "127.0.0.1:8002": "desk.service"})


class Known:
    """Bearings of a host as ``Seen`` has it."""

    def __init__(self, homes: Homes, seen: Seen = UP, here: dict[str, list[str]] | None = None):
        self._homes, self._seen, self._here = homes, seen, here or {}

    def stands_for(self, upstream: str) -> list[str]:
        return self._here.get(upstream, [])

    def holder(self, proxy: str, upstream: str) -> str:
        return self._seen.owner(upstream)

    def is_broken(self, route: Route) -> bool:
        return destination(route, self._seen).is_broken

    def homes(self, proxy: str, site: str) -> frozenset[str]:
        return self._homes.of(proxy, site)


def joined(*routes: Route, homes: Homes | None = None, seen: Seen = UP) -> PathMap:
    return join((SHOP, DESK), [("nginx", routes)], Known(homes or Homes(), seen))


def settled(*routes: Route) -> Homes:
    homes = Homes()
    homes.learn(joined(*routes), (), 1000.0)
    return homes


def found(
    loaded: tuple[Route, ...],
    on_disk: tuple[Route, ...],
    homes: Homes | None = None,
    seen: Seen = UP,
) -> dict[str, Ways]:
    homes = homes or settled(RIGHT, OTHER)
    answers = {"nginx": ProxyFound(loaded, on_disk, digest="b", loaded_digest="a")}
    return dict(ways.find(joined(*loaded, homes=homes, seen=seen), answers, homes, seen))


def test_a_site_that_leads_nowhere_belongs_to_the_application_it_led_to() -> None:
    homes = settled(RIGHT, OTHER)
    shop = joined(NOWHERE, OTHER, homes=homes).by_name("shop")
    assert shop is not None
    assert [(path.route, path.astray) for path in shop.paths] == [(NOWHERE, True)]
    assert shop.addresses == ("127.0.0.1:8001",)
    assert shop.upstreams == ("127.0.0.1:9001",)


def test_an_application_is_known_by_what_its_unit_holds() -> None:
    """As one whose command line does not name the port, or names another by now."""
    seen = Seen({"127.0.0.1:9001": "shop.service"})
    shop = joined(NOWHERE, seen=seen).by_name("shop")
    assert shop is not None
    assert [(path.route, path.astray) for path in shop.paths] == [(NOWHERE, False)]


def test_without_a_memory_an_address_is_a_backend_of_its_own() -> None:
    names = [backend.name for backend in joined(NOWHERE, OTHER).backends]
    assert names == ["127.0.0.1:9001", "desk", "shop"]


def test_a_new_part_of_a_site_that_leads_nowhere_is_nobodys() -> None:
    homes = settled(RIGHT, OTHER)
    names = [b.name for b in joined(RIGHT, NOWHERE, OTHER, homes=homes).backends]
    assert names == ["127.0.0.1:9001", "desk", "shop"]


def test_what_answers_elsewhere_is_no_stray() -> None:
    homes = settled(RIGHT, OTHER)
    seen = Seen({**UP.listening, "127.0.0.1:9001": ""})
    names = [b.name for b in joined(NOWHERE, OTHER, homes=homes, seen=seen).backends]
    assert "127.0.0.1:9001" in names


def test_an_application_without_a_name_is_remembered_by_its_address() -> None:
    before = replace(RIGHT, upstream="127.0.0.1:7001")
    homes = Homes()
    homes.learn(join((), [("nginx", [before])], Known(homes)), (), 1000.0)
    (backend,) = join((), [("nginx", [NOWHERE])], Known(homes)).backends
    assert (backend.name, backend.addresses) == ("127.0.0.1:7001", ("127.0.0.1:7001",))


def test_a_name_that_leads_to_an_application_is_its_own_address() -> None:
    route = replace(RIGHT, upstream="shop.internal:8001")
    known = Known(Homes(), here={"shop.internal:8001": ["127.0.0.1:8001"]})
    paths = join((SHOP, DESK), [("nginx", [route])], known)
    assert [backend.name for backend in paths.backends if backend.paths] == ["shop"]


def test_a_broken_way_is_told_of_the_application_it_is_missing_from() -> None:
    seen = found((NOWHERE, OTHER), (NOWHERE, OTHER))
    assert [way.destination.state for way in seen["shop"].broken] == ["not_listening"]
    assert seen["desk"].broken == ()


def test_a_member_that_is_down_is_not_missed_while_another_answers() -> None:
    blue = replace(RIGHT, group="shop")
    green = replace(NOWHERE, group="shop")
    seen = found((blue, green), (blue, green))
    assert all(not one.broken for one in seen.values())
    both = found((blue, green), (blue, green), seen=Seen())
    assert both["shop"].broken


def test_a_site_given_to_another_application_is_told_of_both() -> None:
    away = replace(RIGHT, upstream="127.0.0.1:8002")
    seen = found((away, OTHER), (away, OTHER))
    assert [way.destination.backend for way in seen["shop"].given_away] == ["desk"]
    assert seen["desk"].given_away == ()


def test_a_reload_that_would_lead_nowhere_is_told_before() -> None:
    seen = found((RIGHT, OTHER), (NOWHERE, OTHER))
    (way,) = seen["shop"].coming
    assert (way.route.place, way.is_missed, way.was) == ("/etc/nginx/shop:3", True, (RIGHT,))
    assert seen["desk"].coming == ()


def test_a_reload_that_would_give_a_site_to_another_application_is_told_before() -> None:
    away = replace(RIGHT, upstream="127.0.0.1:8002")
    (way,) = found((RIGHT, OTHER), (away, OTHER))["shop"].coming
    assert (way.destination.backend, way.is_missed) == ("desk", False)


def test_blue_and_green_may_be_exchanged() -> None:
    """The successor has no site of its own yet."""
    away = replace(RIGHT, upstream="127.0.0.1:8002")
    assert found((RIGHT,), (away,), settled(RIGHT))["shop"].coming == ()


def test_nothing_comes_where_the_file_is_loaded_or_nobody_knows() -> None:
    homes = settled(RIGHT, OTHER)
    paths = joined(RIGHT, OTHER, homes=homes)
    same = {"nginx": ProxyFound((RIGHT,), (NOWHERE,), digest="a", loaded_digest="a")}
    unknown = {"nginx": ProxyFound(None, (NOWHERE,))}
    for answers in (same, unknown):
        assert ways.find(paths, answers, homes, UP)["shop"].coming == ()


def test_a_proxy_of_another_network_is_not_judged_from_here() -> None:
    homes = settled(RIGHT, OTHER)
    answers = {"nginx": ProxyFound((NOWHERE,), (NOWHERE,))}
    seen = ways.find(joined(NOWHERE, homes=homes), answers, homes, UP, blind=("nginx",))
    assert seen["shop"] == Ways()


def test_a_home_is_given_up_once_all_has_been_well_elsewhere_for_a_while() -> None:
    homes = settled(RIGHT, OTHER)
    away = joined(replace(RIGHT, upstream="127.0.0.1:8002"), OTHER)
    homes.learn(away, (), 1001.0)
    assert homes.of("nginx", "shop.test") == {"shop"}
    homes.learn(away, (), 1001.0 + TRIAL_SECONDS)
    assert homes.of("nginx", "shop.test") == {"shop", "desk"}
    homes.learn(away, (), 1001.0 + SETTLED_SECONDS)
    assert homes.of("nginx", "shop.test") == {"desk"}


def test_a_home_is_not_given_up_while_it_fails() -> None:
    homes = settled(RIGHT, OTHER)
    away = joined(replace(RIGHT, upstream="127.0.0.1:8002"), OTHER)
    for minute in range(120):
        homes.learn(away, ("shop",), 1000.0 + 60 * minute)
    assert homes.of("nginx", "shop.test") == {"shop"}


def test_what_leads_elsewhere_for_a_moment_is_no_home() -> None:
    homes = settled(RIGHT, OTHER)
    homes.learn(joined(replace(RIGHT, upstream="127.0.0.1:8002"), OTHER), (), 1001.0)
    homes.learn(joined(RIGHT, OTHER), (), 1005.0)
    shop = joined(NOWHERE, OTHER, homes=homes).by_name("shop")
    assert shop is not None
    assert shop.paths[0].astray


def test_an_application_first_known_by_its_address_is_the_same() -> None:
    homes = Homes(
        [("nginx", "shop.test", "127.0.0.1:8001", 1.0), ("nginx", "shop.test", "shop", 2)]
    )
    shop = joined(NOWHERE, OTHER, homes=homes).by_name("shop")
    assert shop is not None
    assert shop.paths[0].astray


def test_where_a_site_led_before_is_told_with_its_broken_way() -> None:
    homes = settled(RIGHT, OTHER)
    (way,) = found((NOWHERE, OTHER), (), homes)["shop"].broken
    assert way.before == "127.0.0.1:8001"
    away = replace(RIGHT, upstream="127.0.0.1:8002")
    (given,) = found((away, OTHER), (), homes)["shop"].given_away
    assert given.before == "127.0.0.1:8001"


def test_an_application_that_moved_was_where_its_site_still_leads() -> None:
    homes = settled(RIGHT, OTHER)
    moved = replace(SHOP, listens=("127.0.0.1:8011",))
    seen = Seen({"127.0.0.1:8011": "shop.service"})
    paths = join((moved, DESK), [("nginx", (RIGHT, OTHER))], Known(homes, seen))
    homes.learn(paths, ("shop",), 1001.0, frozenset((RIGHT.upstream,)))
    (way,) = ways.find(paths, {}, homes, seen)["shop"].broken
    assert way.before == way.route.upstream == "127.0.0.1:8001"


def test_an_address_that_never_answered_is_not_where_a_site_led_before() -> None:
    homes = Homes()
    homes.learn(joined(RIGHT, seen=Seen()), ("shop",), 1000.0, frozenset((RIGHT.upstream,)))
    assert homes.led("nginx", "shop.test", "shop") == ""


def test_an_application_is_at_home_where_it_was_known_by_its_address_alone() -> None:
    homes = Homes()
    homes.learn(join((), [("nginx", (RIGHT,))], Known(Homes())), (), 1000.0)
    assert homes.of("nginx", "shop.test") == {"127.0.0.1:8001"}
    homes.learn(joined(RIGHT, homes=homes), (), 1001.0)
    assert homes.of("nginx", "shop.test") == {"shop"}


def test_homes_survive_a_restart() -> None:
    homes = Homes([*settled(RIGHT, OTHER).memory(), ("half",), None])
    assert homes.of("nginx", "shop.test") == {"shop"}
    assert homes.at_home("desk") == {("nginx", "desk.test")}
    assert homes.led("nginx", "desk.test", "desk") == "127.0.0.1:8002"


def test_a_pinned_name_is_judged_by_what_it_led_to_when_it_was_loaded() -> None:
    route = replace(RIGHT, upstream="shop.internal:8001")
    seen = Seen(UP.listening, {"shop.internal": Resolved(("127.0.0.9",), True, 7.0)})
    pinned = {("nginx", route.upstream): ("127.0.0.1",)}
    paths = join((SHOP,), [("nginx", [route])], Known(Homes()))
    (name,) = [backend.name for backend in paths.backends if backend.paths]
    ((way,),) = [
        found.loaded
        for each, found in ways.find(paths, {}, Homes(), seen, (), pinned).items()
        if each == name
    ]
    assert (way.destination.state, way.moved, way.moved_since) == (
        "listening", ("127.0.0.9",), 7.0,
    )  # fmt: skip
    later = replace(route, dynamic=True)
    paths = join((SHOP,), [("nginx", [later])], Known(Homes()))
    found = ways.find(paths, {}, Homes(), seen, (), pinned)[name].loaded
    assert found[0].moved == ()
