"""Where each site was at home: the application it led to while that was right.

A configuration that sends a site to a wrong address does not say whose site it is; what it led to
before does.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from badgateway.topology.backends import PathMap

SETTLED_SECONDS: Final = 15 * 60.0
"""How long a site must lead elsewhere, and nothing be wrong, until it is at home there alone."""
TRIAL_SECONDS: Final = 60.0
"""How long a site must lead to another application until it is at home there too."""
_LIMIT: Final = 5000

Site = tuple[str, str]
"""A proxy and one of its sites."""


@dataclass(frozen=True, slots=True)
class _Home:
    """An application that a site led to while that was right.

    Attributes:
        at: when it last did so, seconds since the epoch.
        upstream: at which address; empty where that is not remembered.
    """

    at: float
    upstream: str = ""


class Homes:
    """Remembers the applications of each site."""

    def __init__(self, learnt: Iterable[Any] = ()) -> None:
        """Begin with what ``memory`` returned in an earlier life."""
        self._known: dict[Site, dict[str, _Home]] = {}
        self._index: dict[str, frozenset[Site]] | None = None
        self.turns = 0
        """How often what is known has changed."""
        self._trials: dict[tuple[Site, str], float] = {}
        for item in learnt:
            try:
                proxy, site, backend, at, *led = item
                home = _Home(float(at), str(led[0]) if led else "")
                self._known.setdefault((str(proxy), str(site)), {})[str(backend)] = home
            except (TypeError, ValueError):
                continue  # another version wrote it

    def memory(self) -> list[tuple[str, str, str, float, str]]:
        """What is worth remembering over a restart of the exporter."""
        return [
            (proxy, site, backend, home.at, home.upstream)
            for (proxy, site), backends in self._known.items()
            for backend, home in backends.items()
        ][:_LIMIT]

    def of(self, proxy: str, site: str) -> frozenset[str]:
        """Return the names of the applications a site led to while that was right."""
        return frozenset(self._known.get((proxy, site), ()))

    def led(self, proxy: str, site: str, backend: str) -> str:
        """Return the address at which a site led to an application while that was right.

        Empty where that is not known.
        """
        home = self._known.get((proxy, site), {}).get(backend)
        return home.upstream if home is not None else ""

    def at_home(self, backend: str) -> frozenset[Site]:
        """Return the sites that led to an application while that was right."""
        if self._index is None:
            sites: dict[str, set[Site]] = {}
            for site, found in self._known.items():
                for name in found:
                    sites.setdefault(name, set()).add(site)
            self._index = {name: frozenset(of) for name, of in sites.items()}
        return self._index.get(backend, frozenset())

    def learn(
        self,
        paths: PathMap,
        failing: Container[str],
        now: float,
        broken: Container[str] = frozenset(),
    ) -> None:
        """Take note of where sites lead.

        Args:
            paths: the path map as loaded.
            failing: backends that fail.
            now: seconds since the epoch.
            broken: upstreams at which a request fails; one without a known application is
                nobody's home.
        """
        applications = {backend.name: backend for backend in paths.backends}
        leading: dict[Site, dict[str, str]] = {}
        astray: set[Site] = set()
        for backend in paths.backends:
            for path in backend.paths:
                site = (path.proxy, path.route.site)
                if path.astray:
                    astray.add(site)
                elif backend.name != path.route.upstream or backend.name not in broken:
                    led = leading.setdefault(site, {})
                    if backend.name not in led or led[backend.name] in broken:
                        led[backend.name] = path.route.upstream
        for site, backends in leading.items():
            # an address that is broken now was not what was right
            here = {n: _Home(now, "" if u in broken else u) for n, u in backends.items()}
            known = self._known.setdefault(site, {})
            for former in [n for n in known if n not in here and ":" in n]:
                for name in here:
                    if applications[name].listens_at(former):
                        # it was known by its address alone
                        known.setdefault(name, known.pop(former))
                        self._turn()
                        break
            is_new = not known
            for name, home in here.items():
                before = known.get(name)
                if before is not None:
                    self._note(site, name, _Home(now, home.upstream or before.upstream))
                elif is_new or self._is_proven(site, name, known, failing, now):
                    self._note(site, name, home)
        self._trials = {
            key: at for key, at in self._trials.items() if key[1] in leading.get(key[0], ())
        }
        for site, known in self._known.items():
            stays = leading.get(site, {}).keys() & known.keys()
            for name in known.keys() - stays:
                home = known[name]
                if site in astray or name in failing or not stays:
                    at = max(home.at, now - SETTLED_SECONDS / 2)
                    known[name] = replace(home, at=at)
                elif now - home.at > SETTLED_SECONDS:
                    del known[name]
                    self._turn()

    def _note(self, site: Site, name: str, home: _Home) -> None:
        before = self._known[site].get(name)
        self._known[site][name] = home
        if before is None or before.upstream != home.upstream:
            self._turn()

    def _turn(self) -> None:
        self._index, self.turns = None, self.turns + 1

    def _is_proven(
        self,
        site: Site,
        name: str,
        known: Iterable[str],
        failing: Container[str],
        now: float,
    ) -> bool:
        """Whether another application has had a site for a while, and the former is well."""
        begun = self._trials.setdefault((site, name), now)
        if any(former in failing for former in known):
            self._trials[site, name] = now
            return False
        if now - begun < TRIAL_SECONDS:
            return False
        del self._trials[site, name]
        return True
