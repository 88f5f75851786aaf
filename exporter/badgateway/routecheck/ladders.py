"""Time-outs of a proxy's configuration that do not fit those of the applications behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from badgateway import vocabulary
from badgateway.collectors import settings
from badgateway.packages.findings import Finding
from badgateway.routecheck.reading import ProxyFile
from badgateway.topology.backends import Backend, ProxyPath


def ladders(file: ProxyFile, applications: Iterable[Backend], proxy: str) -> Iterator[Finding]:
    """Yield where the proxy would wait longer than an application's server lets a worker live.

    Args:
        file: the configuration.
        applications: those known on the host.
        proxy: the proxy's name.
    """
    for application in applications:
        led = [route for route in file.routes if application.listens_at(route.upstream)]
        if not led or application.launch is None:
            continue
        backend = replace(application, paths=tuple(ProxyPath(proxy, route) for route in led))
        if not settings.mismatches(backend).get("timeout_ladder"):
            continue
        worker = dict(application.launch.timeouts)["worker"]
        read = settings.longest(backend, "read")
        yield Finding(
            "timeout_ladder",
            vocabulary.ROUTE_SEVERITY["timeout_ladder"],
            application.name,
            f"The proxy would wait {read:g} s for {application.name}, whose server "
            f"({application.server}) ends a worker after {worker:g} s: a slow request ends as a "
            "502.",
            where=next((route.place for route in led if route.place), ""),
        )
