"""Where each site was at home: the application it led to while that was right.

A configuration that sends a site to a wrong address does not say whose site it is; what it led to
before does.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any, Final

from badgateway.topology.backends import PathMap

SETTLED_SECONDS: Final = 15 * 60.0
"""How long a site must lead elsewhere, and nothing be wrong, until it is at home there alone."""
TRIAL_SECONDS: Final = 60.0
"""How long a site must lead to another application until it is at home there too."""
_LIMIT: Final = 5000

Site = tuple[str, str]
"""A proxy and one of its sites."""


class Homes:
    """Remembers the applications of each site."""

    def __init__(self, learnt: Iterable[Any] = ()) -> None:
        """Begin with what ``memory`` returned in an earlier life."""
        self._known: dict[Site, dict[str, float]] = {}
        self._trials: dict[tuple[Site, str], float] = {}
        for item in learnt:
            try:
                proxy, site, backend, at = item
                self._known.setdefault((str(proxy), str(site)), {})[str(backend)] = float(at)
            except (TypeError, ValueError):
                continue  # another version wrote it

    def memory(self) -> list[tuple[str, str, str, float]]:
        """What is worth remembering over a restart of the exporter."""
        return [
            (proxy, site, backend, at)
            for (proxy, site), backends in self._known.items()
            for backend, at in backends.items()
        ][:_LIMIT]

    def of(self, proxy: str, site: str) -> frozenset[str]:
        """Return the names of the applications a site led to while that was right."""
        return frozenset(self._known.get((proxy, site), ()))

    def at_home(self, backend: str) -> frozenset[Site]:
        """Return the sites that led to an application while that was right."""
        return frozenset(site for site, found in self._known.items() if backend in found)

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
        leading: dict[Site, set[str]] = {}
        astray: set[Site] = set()
        for backend in paths.backends:
            for path in backend.paths:
                site = (path.proxy, path.route.site)
                if path.astray:
                    astray.add(site)
                elif backend.name != path.route.upstream or backend.name not in broken:
                    leading.setdefault(site, set()).add(backend.name)
        for site, backends in leading.items():
            known = self._known.get(site)
            if known is None:
                known = self._known[site] = dict.fromkeys(backends, now)
            for name in backends:
                if name in known or self._is_proven(site, name, known, failing, now):
                    known[name] = now
        self._trials = {
            key: at for key, at in self._trials.items() if key[1] in leading.get(key[0], ())
        }
        for site, known in list(self._known.items()):
            here = leading.get(site, set()) & set(known)
            for name in set(known) - here:
                if site in astray or name in failing or not here:
                    known[name] = max(known[name], now - SETTLED_SECONDS / 2)
                elif now - known[name] > SETTLED_SECONDS:
                    del known[name]

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
