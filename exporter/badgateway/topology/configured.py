"""The configuration laid over what was found: what it says holds."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace

from badgateway import config as settings
from badgateway.topology import units
from badgateway.topology.backends import Backend
from badgateway.topology.launch.command import parse_command
from badgateway.topology.nginx.reading import DEFAULT_CONFIG
from badgateway.topology.proxies.place import ProxyPlace


def backends(
    wanted: Sequence[settings.Backend],
    found: Mapping[str, Backend],
    units_found: Container[str],
    container: Callable[[str], Backend | None] = lambda _: None,
) -> dict[str, Backend]:
    """Return name → backend. Reads what a command line names, so it may block.

    Args:
        wanted: the backends configured.
        found: those found, by name.
        units_found: systemd's units.
        container: returns what is known of a container, or compose project and service.
    """
    laid = dict(found)
    for given in wanted:
        base = next((b for b in laid.values() if given.unit and b.unit == given.unit), None)
        if given.container:
            inside = container(given.container)
            base = next((b for b in laid.values() if inside and b.unit == inside.unit), inside)
            base = base or Backend(given.name, "docker", given.container)
        base = base or laid.get(given.name) or Backend(given.name)
        laid.pop(base.name, None)
        if given.command:
            launch = parse_command(given.command, given.working_directory or "/", {})
            base = units.backend(given.name, launch, manager="process")
        elif given.unit and not base.unit:
            manager = "systemd" if given.unit in units_found else ""
            base = replace(base, manager=manager, unit=given.unit)
        laid[given.name] = replace(
            base,
            name=given.name,
            listens=given.upstreams or base.listens,
            project=given.project or base.project,
            virtualenv=given.virtualenv or base.virtualenv,
            extras=given.extras or base.extras,
        )
    return laid


def places(
    wanted: Iterable[settings.Proxy], found: Mapping[str, ProxyPlace], everything: bool
) -> tuple[ProxyPlace, ...]:
    """Return where proxies are, in the order of their names.

    Args:
        wanted: the proxies configured.
        found: those found, by name.
        everything: False leaves out what was found and is not configured.
    """
    laid = dict(found) if everything else {}
    for proxy in wanted:
        unit = proxy.unit or ""
        known = next((p for p in found.values() if p.unit == unit and unit), None)
        known = known or next((p for p in found.values() if _is_meant(p, proxy)), None)
        base = known or laid.get(proxy.name) or ProxyPlace(proxy.name, proxy.kind, unit)
        laid.pop(base.name, None)
        laid[proxy.name] = replace(
            base,
            name=proxy.name,
            kind=proxy.kind,
            admin=base.admin if proxy.admin is None else proxy.admin,
            config=proxy.config or base.config,
        )
    return tuple(laid[name] for name in sorted(laid))


def _is_meant(found: ProxyPlace, wanted: settings.Proxy) -> bool:
    """Whether a proxy of this host has the very configuration that is meant."""
    if wanted.unit or found.container or found.kind != wanted.kind:
        return False
    return found.config == (wanted.config or (DEFAULT_CONFIG if wanted.kind == "nginx" else None))
