"""Which URLs are asked: those configured, and those the path map implies."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from badgateway import config as settings
from badgateway.collectors import requestheaders
from badgateway.collectors.probes import Target
from badgateway.topology.backends import WILDCARDS, Backend, PathMap
from badgateway.topology.routes import LocalAnswer

_CLOSED: Final = 503


def probe_targets(
    config: settings.Config,
    paths: PathMap,
    unasked: Container[str] = (),
    local: Mapping[str, Collection[LocalAnswer]] = MappingProxyType({}),
) -> list[Target]:
    """Return what to ask, in a stable order.

    By default each backend is asked directly (``origin``) and through each proxy of this host that
    serves it (``proxy``). The public URL (``edge``) is asked only when it is configured: where the
    name leads cannot be known from here.

    Args:
        config: what is said of probes.
        paths: the path map.
        unasked: backends that are asked only if the configuration says so.
        local: proxy → the errors that it is told to answer with by itself.
    """
    targets: list[Target] = []
    for backend in paths.backends:
        given = next((b for b in config.backends if b.name == backend.name), None)
        probes = given.probes if given else ()
        targets += [_configured(backend.name, probe) for probe in probes]
        if config.probes.default and backend.name not in unasked:
            used = {probe.vantage for probe in probes}
            targets += [
                target for target in _implied(config, backend, local) if target.vantage not in used
            ]
    return list(dict.fromkeys(targets))


def _configured(backend: str, probe: settings.Probe) -> Target:
    return Target(
        backend,
        probe.name,
        probe.vantage,
        probe.url,
        expected=frozenset(probe.expect.status),
        body=probe.expect.body,
        headers=requestheaders.configured(probe),
        verify=probe.verify,
    )


def _implied(
    config: settings.Config, backend: Backend, local: Mapping[str, Collection[LocalAnswer]]
) -> Iterator[Target]:
    path = config.probes.path
    for number, upstream in enumerate(backend.addresses):
        if "{" in upstream:
            continue  # a placeholder: known only to the proxy
        spoken = {p.route.protocol for p in backend.paths if p.route.upstream == upstream}
        if spoken and "http" not in spoken:
            continue  # a probe speaks HTTP only
        name = "origin" if not number else f"origin-{number + 1}"
        tls = any(p.route.upstream_tls for p in backend.paths if p.route.upstream == upstream)
        scheme = "https" if tls else "http"
        if upstream.startswith("unix:"):
            socket = upstream.removeprefix("unix:")
            yield Target(
                backend.name, name, "origin", f"{scheme}://localhost{path}", socket=socket,
                verify=False,
            )  # fmt: skip
        else:
            url = f"{scheme}://{upstream}{path}"
            yield Target(backend.name, name, "origin", url, verify=False)
    seen: set[tuple[str, str]] = set()
    for item in backend.paths:
        route = item.route
        host, _, port = route.listen.rpartition(":")
        if (item.proxy, route.site) in seen or not port.isdigit() or "*" in route.site[1:]:
            continue
        seen.add((item.proxy, route.site))
        scheme = "https" if route.tls else "http"
        address = "127.0.0.1" if host in ("", WILDCARDS[0], "localhost") else host
        address = "[::1]" if address in ("[::]", "::") else address
        site = None if route.site.startswith("*") else route.site
        name = "proxy" if len(seen) == 1 else f"proxy-{len(seen)}"
        # the certificate is the edge probe's concern: this one asks for an answer
        yield Target(
            backend.name, name, "proxy", f"{scheme}://{address}:{port}{path}", host=site,
            verify=False, tolerated=_maintenance(local.get(item.proxy, ()), route.site),
        )  # fmt: skip


def _maintenance(local: Collection[LocalAnswer], site: str) -> frozenset[int]:
    """The status that says that a site is closed on purpose, where its proxy is told to answer so.

    Only 503: a proxy that is told to answer 502 or 504 hides something.
    """
    closed = any(answer.site == site and answer.status == _CLOSED for answer in local)
    return frozenset((_CLOSED,)) if closed else frozenset()
