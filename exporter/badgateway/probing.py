"""What is asked for: the probes of the path map, but for those that nobody would miss."""

from __future__ import annotations

import time
from collections.abc import Callable, Container

from badgateway import config as settings
from badgateway.collectors.probes import Probes, Target
from badgateway.collectors.proxies import Proxies
from badgateway.collectors.targets import probe_targets
from badgateway.diagnosis.evidence import RECENT_SECONDS
from badgateway.routewatch import Survey
from badgateway.topology.backends import PathMap
from badgateway.topology.discovery import Findings


class Probing:
    """Aims the probes."""

    def __init__(
        self, probes: Probes, proxies: Proxies, has_answered: Callable[[str], bool]
    ) -> None:
        """Begin with nothing to ask.

        Args:
            probes: what asks.
            proxies: what knows which backends clients ask for.
            has_answered: tells whether a backend has ever been seen to answer.
        """
        self._probes, self._proxies, self._has_answered = probes, proxies, has_answered
        self._dormant: frozenset[str] = frozenset()
        self.targets: frozenset[Target] = frozenset()
        """What is asked now."""

    def aim(self, config: settings.Config, findings: Findings) -> None:
        """Ask for what was found from now on, as the configuration says."""
        targets: list[Target] = []
        if config.probes.enabled:
            local = {name: found.local for name, found in findings.answers.items()}
            targets = probe_targets(config, findings.paths, self._dormant, local)
        self.targets = frozenset(targets)
        self._probes.watch(self.targets)

    def has_turned(
        self,
        config: settings.Config,
        paths: PathMap,
        survey: Survey,
        heard: Container[str],
    ) -> bool:
        """Tell whether others are dormant than when last asked: it is time to aim anew.

        A backend is dormant that is an address at which nothing listens, and that nobody asks for:
        an upstream of a site that has no traffic is no incident. Where that cannot be seen, and an
        application that nothing leads to may be what was meant, it is asked.

        Args:
            config: what is configured.
            paths: the path map.
            survey: where it leads.
            heard: proxies whose log of failed attempts is read.
        """
        oldest, ways = time.time() - RECENT_SECONDS, survey.ways
        configured = {backend.name for backend in config.backends}
        before = self._dormant
        self._dormant = frozenset(
            b.name
            for b in paths.backends
            if not b.manager
            and b.launch is None
            and b.name not in configured
            and b.name in ways
            and all(way.destination.is_broken for way in ways[b.name].loaded)
            and not self._has_answered(b.name)
            and not self._proxies.asked_for(b.name, oldest)
            and (not survey.idle or all(way.proxy in heard for way in ways[b.name].loaded))
        )
        return before != self._dormant
